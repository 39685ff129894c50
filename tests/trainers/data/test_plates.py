"""The painted data set: the same pixels everywhere, told apart by shape and not by colour."""

import hashlib

import numpy as np
import pytest

from trainers.data import plates
from trainers.errors import DataError
from trainers.result import Split

GOLDEN_SHA256 = {
    None: "2e7af54d2f15cc8c08f587f0e245b476981c26f470ab0dceee7e1bfe7d594f06",
    "source": "43bb835d9cdaf105b67f68c3cd1cf2e3bbc04df1b42c57987c7f0c81a17e2635",
}


def _pixels(path: str | None, split: Split, indices: range) -> np.ndarray:
    decode = plates.read(path).decode
    return np.stack([np.asarray(decode(split, index)) for index in indices])


def test_a_picture_is_the_same_twice_and_in_any_order():
    forwards = _pixels(None, Split.TRAIN, range(12))
    backwards = _pixels(None, Split.TRAIN, range(11, -1, -1))
    assert np.array_equal(forwards, backwards[::-1])
    assert forwards.shape == (12, 32, 32, 3)
    assert forwards.dtype == np.uint8


@pytest.mark.parametrize("path", GOLDEN_SHA256)
def test_pixels_are_those_of_the_machine_that_wrote_this_test(path):
    splits = [_pixels(path, split, range(5)) for split in Split]
    assert hashlib.sha256(np.stack(splits).tobytes()).hexdigest() == GOLDEN_SHA256[path]


def test_splits_and_variants_share_no_picture():
    pictures = [picture for path in (None, "source") for split in Split for picture in _pixels(path, split, range(40))]
    assert len({picture.tobytes() for picture in pictures}) == 2 * 3 * 40


def test_mean_colour_tells_almost_nothing_about_the_class():
    raw, means = plates.read(None), {}
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        means[split] = _pixels(None, split, range(550)).mean(axis=(1, 2))
    asked = np.concatenate([means[Split.VALIDATION], means[Split.TEST]])
    nearest = ((asked[:, None] - means[Split.TRAIN]) ** 2).sum(axis=2).argmin(axis=1)
    answers = np.concatenate([raw.labels[Split.VALIDATION][:550], raw.labels[Split.TEST][:550]])
    assert (raw.labels[Split.TRAIN][nearest] == answers).mean() <= 0.25


@pytest.mark.parametrize("path", [None, "source"])
def test_labels_are_balanced_in_every_split(path):
    raw = plates.read(path)
    for labels in raw.labels.values():
        counts = np.bincount(labels, minlength=len(raw.class_names))
        assert labels.dtype == np.int64
        assert len(set(counts)) == 1


def test_source_classes_are_disjoint_from_target_classes():
    target, source = plates.read(None).class_names, plates.read("source").class_names
    assert len(target) == 11
    assert not set(target) & set(source)


def test_no_path_and_an_empty_path_are_the_same_data():
    assert plates.identity(None) == plates.identity("")
    assert plates.identity(None) != plates.identity("source")


@pytest.mark.parametrize("give", [plates.read, plates.identity])
def test_an_unknown_variant_is_one_line_that_names_what_is_allowed(give):
    with pytest.raises(DataError, match=r"^unknown plates variant 'sauce'; have: .*'source'$"):
        give("sauce")


def test_the_contact_sheet_is_small():
    sheet = plates.contact_sheet("target", num_columns=2)
    assert sheet.size == (100 + 2 * 68, 11 * 68)
