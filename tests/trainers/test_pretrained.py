"""Weights from outside: read, checked, never unpickled."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from trainers import pretrained
from trainers.errors import CorruptFileError, WeightsError
from trainers.network import build_body
from trainers.pretrained import keep_weights, read_state
from trainers.spec import Choice, Weights
from trainers.storage import Store

TINY = Choice(name="conv_plain", args={"num_classes": 2, "image_size": 8, "channels": (4, 6), "final_size": 2})
WIDE = Choice(name="conv_plain", args={**TINY.args, "num_classes": 1000})
WEIGHTS = Weights(name="somewhere", digest="d" * 64)


@pytest.fixture
def state() -> dict[str, Tensor]:
    """A body with a head for 1,000 classes."""
    return build_body(WIDE).state_dict()


def kept(store: Store, digest: str = WEIGHTS.digest) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = safetensors.torch.load_file(store.weights_file(digest))
    return loaded


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert set(one) == set(other)
    assert all(torch.equal(one[key], other[key]) for key in one)


def refusal(store: Store, file: Path) -> str:
    """The one line with which a file is refused; nothing of it is kept."""
    with pytest.raises(WeightsError) as caught:
        keep_weights(store, WEIGHTS, TINY, file)
    assert not store.weights_file(WEIGHTS.digest).exists()
    text = str(caught.value)
    assert "\n" not in text
    assert "--pretrained imagenet" in text
    assert "--pretrained FILE" in text
    assert "--pretrained source" in text
    return text


def parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torch.nn.DataParallel saves it."""
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer_state_dict": {}, "loss": 0.4},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model": "conv_plain", "state_dict": parallel(state)},
        parallel,
    ],
)
def test_a_state_dict_with_another_head_is_kept(store: Store, state: Any, tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap(state), tmp_path / "weights.pth")
    keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.pth")
    assert_equal(kept(store), state)


def test_torchvisions_resnet18_with_its_thousand_classes_fits(store: Store, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    whole = resnet18().state_dict()
    torch.save(whole, tmp_path / "resnet18.pth")
    model = Choice(name="resnet18", args={"num_classes": 11, "image_size": 32})
    keep_weights(store, WEIGHTS, model, tmp_path / "resnet18.pth")
    assert_equal(kept(store), whole)


def test_a_safetensors_file_is_kept(store: Store, state: Any, tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.safetensors")
    assert_equal(kept(store), state)


def test_weights_that_are_kept_already_need_no_file(store: Store, state: Any, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pth")
    keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.pth")
    (tmp_path / "weights.pth").unlink()
    keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.pth")


def test_weights_that_are_kept_already_must_fit_as_well(store: Store, state: Any, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pth")
    keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"weights\.pth: weights do not fit model 'conv_plain': 2 tensors differ"):
        keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.pth", is_complete=True)
    keep_weights(store, WEIGHTS, WIDE, tmp_path / "weights.pth", is_complete=True)


@pytest.mark.parametrize("damaged", ["weights", "record"])
def test_one_flipped_bit_in_kept_weights_is_noticed_before_they_are_used_and_they_are_read_anew(
    store: Store, state: Any, tmp_path: Path, damaged: str
) -> None:
    torch.save(state, tmp_path / "own.pt")
    keep_weights(store, WEIGHTS, TINY, tmp_path / "own.pt")
    whole = {name: value.clone() for name, value in kept(store).items()}  # the file is mapped
    find = store.weights_file if damaged == "weights" else store.weights_record
    file = find(WEIGHTS.digest)
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptFileError):
        store.local_weights(WEIGHTS.digest)
    keep_weights(store, WEIGHTS, TINY, tmp_path / "own.pt")
    assert store.local_weights(WEIGHTS.digest) == store.weights_file(WEIGHTS.digest)
    assert_equal(kept(store), whole)


def test_kept_weights_that_are_damaged_are_said_to_be_deleted(store: Store, tmp_path: Path) -> None:
    store.write_weights(WEIGHTS.digest, b"half a file")
    with pytest.raises(CorruptFileError, match=r"is not a safetensors file: .*; delete it and run again"):
        keep_weights(store, WEIGHTS, TINY, tmp_path / "weights.pth")


def test_only_a_prefix_that_all_names_have_is_left_out(store: Store, state: Any, tmp_path: Path) -> None:
    first, *others = state
    torch.save({first: state[first], **parallel({name: state[name] for name in others})}, tmp_path / "x.pth")
    assert "weights do not fit model 'conv_plain'" in refusal(store, tmp_path / "x.pth")


def test_a_model_whose_own_names_have_the_prefix_keeps_it(
    store: Store, state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "build_body", lambda model: nn.DataParallel(build_body(model)))
    torch.save(parallel(state), tmp_path / "weights.pth")
    keep_weights(store, WEIGHTS, WIDE, tmp_path / "weights.pth", is_complete=True)
    assert_equal(kept(store), parallel(state))


class Malicious:
    """Unpickling it writes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return (exec, (f"import pathlib; pathlib.Path({str(self.proof)!r}).write_text('owned')",))


@pytest.mark.parametrize("form", ["pickle", "torch", "inside a state dict"])
def test_a_malicious_pickle_is_refused_and_runs_nothing(store: Store, state: Any, tmp_path: Path, form: str) -> None:
    file, proof = tmp_path / "weights.pth", tmp_path / "proof"
    if form == "pickle":
        file.write_bytes(pickle.dumps(Malicious(proof), protocol=2))
    else:
        torch.save(Malicious(proof) if form == "torch" else {**state, "x": Malicious(proof)}, file)
    assert "is not a file of weights" in refusal(store, file)
    assert not proof.exists()
    pickle.loads(pickle.dumps(Malicious(proof)))  # the bait works on whoever unpickles it
    assert proof.exists()


def test_a_whole_pickled_network_is_refused(store: Store, tmp_path: Path) -> None:
    torch.save(build_body(TINY), tmp_path / "network.pt")
    expected = "is not a file of weights (it holds pickled code, which is never run; save model.state_dict() instead); "
    assert expected in refusal(store, tmp_path / "network.pt")


@pytest.mark.parametrize("name", ["notes.pth", "notes.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"hello\nworld\n", b"<html></html>", bytes(1000), b"PK\x03\x04" + bytes(40), pickle.dumps([0.5])]
)
@pytest.mark.filterwarnings("error")
def test_a_file_that_is_not_weights_is_refused(store: Store, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    text = refusal(store, tmp_path / name)
    assert "is not a file of weights (damaged, or neither safetensors nor what torch.save(" in text


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_truncated_file_is_refused(store: Store, state: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if file.suffix == ".pth":
        torch.save(state, file)
    else:
        safetensors.torch.save_file(state, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "is not a file of weights" in refusal(store, file)


def test_a_missing_file_and_a_folder_are_refused(store: Store, tmp_path: Path) -> None:
    assert "is not a file of weights" in refusal(store, tmp_path / "none.pth")
    assert "is not a file of weights" in refusal(store, tmp_path)


@pytest.mark.parametrize(
    "content", [[1, 2], {}, 3, {"a": 1}, {"state_dict": {}}, {"state_dict": 3}, {0: torch.zeros(1)}, torch.zeros(2)]
)
def test_a_sound_file_of_something_else_is_refused(store: Store, tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert "holds no state dict of tensors" in refusal(store, tmp_path / "x.pth")


def test_weights_of_another_architecture_name_the_first_tensor(store: Store, tmp_path: Path) -> None:
    other = Choice(name="conv_plain", args={**TINY.args, "channels": (5, 6)})
    torch.save(build_body(other).state_dict(), tmp_path / "x.pth")
    text = refusal(store, tmp_path / "x.pth")
    assert "weights do not fit model 'conv_plain': 7 tensors differ, first '0.bias'" in text


@given(content=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\x80\x02" + tail))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_arbitrary_bytes_end_in_the_one_error(content: bytes, tmp_path: Path) -> None:
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError):
            read_state(tmp_path / name)


# torchvision's own


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache, and a download that goes to a file of this machine."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "IMAGENET_URL", (tmp_path / "server" / "resnet18.pth").as_uri())
    (tmp_path / "server").mkdir()
    return tmp_path / "hub" / "checkpoints" / "resnet18.pth"


@pytest.fixture
def served(hub: Path, tmp_path: Path, state: Any) -> Weights:
    """The weights that the download gives, with their true digest."""
    file = tmp_path / "server" / "resnet18.pth"
    torch.save(state, file)
    return Weights(name="imagenet", digest=hashlib.sha256(file.read_bytes()).hexdigest()[:8])


def test_imagenet_weights_that_cannot_be_had_name_every_other_option(store: Store, hub: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        keep_weights(store, Weights(name="imagenet", digest="f37072fd"), TINY, None)
    text = str(caught.value)
    assert str(hub) in text
    assert "resnet18.pth" in text
    others = ("FILE", "source --limit N", "source --source-data NAME[:PATH]")
    assert all(f"--pretrained {option}" in text for option in others)
    assert "--pretrained imagenet" not in text  # which has just failed
    assert "\n" not in text


def test_imagenet_weights_are_downloaded_once_and_kept(store: Store, hub: Path, served: Weights, state: Any) -> None:
    keep_weights(store, served, TINY, None)
    assert_equal(kept(store, served.digest), state)
    assert hub.exists()


def test_imagenet_weights_in_the_cache_need_no_download(
    store: Store, hub: Path, served: Weights, tmp_path: Path, state: Any
) -> None:
    hub.parent.mkdir(parents=True)
    (tmp_path / "server" / "resnet18.pth").rename(hub)
    keep_weights(store, served, TINY, None)
    assert_equal(kept(store, served.digest), state)


def test_a_damaged_cache_file_is_refused_and_said_to_be_deleted(store: Store, hub: Path, served: Weights) -> None:
    hub.parent.mkdir(parents=True)
    hub.write_bytes(b"half a download")
    with pytest.raises(WeightsError, match=rf"{hub} is damaged .*{served.digest}.*; delete it and run again"):
        keep_weights(store, served, TINY, None)
    assert not store.weights_file(served.digest).exists()


def test_a_download_with_another_content_is_refused_and_not_cached(store: Store, hub: Path, served: Weights) -> None:
    with pytest.raises(WeightsError):
        keep_weights(store, Weights(name="imagenet", digest="00000000"), TINY, None)
    assert not hub.exists()
