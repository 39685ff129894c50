"""The moving average against its recursion."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from trainers.averaging import Average
from trainers.network import Network, build_network
from trainers.spec import Normalization


@pytest.mark.parametrize("decay", [0.15, 0.9])
def test_the_average_follows_its_recursion_with_a_decay_that_rises(make_spec: Any, decay: float) -> None:
    network = build_network(make_spec())
    average = Average(network, decay)
    draw, expected = torch.Generator().manual_seed(0), {}
    for step in range(6):
        with torch.no_grad():
            for values in network.body.state_dict().values():
                if values.is_floating_point():
                    values.copy_(torch.randn(values.shape, generator=draw))
                else:
                    values += 1
        average.update()
        kept = min(decay, (1 + step) / (10 + step))  # 0.1, 2/11, 3/12, ... until the decay is reached
        for name, values in network.body.state_dict().items():
            now = values.double()
            is_first = step == 0 or not values.is_floating_point()
            expected[name] = now if is_first else kept * expected[name] + (1 - kept) * now
    seen = average.network.body.state_dict()
    assert set(seen) == set(expected) and any("running_var" in name for name in seen)
    for name, values in seen.items():
        torch.testing.assert_close(values.double(), expected[name], atol=1e-6, rtol=1e-5)
    assert seen["1.num_batches_tracked"] == network.body.state_dict()["1.num_batches_tracked"] == 6


def test_the_input_normalisation_is_averaged_without_drifting(make_spec: Any) -> None:
    from trainers.spec import Normalization

    network = build_network(make_spec(normalize=Normalization.IMAGENET))
    average = Average(network, 0.99)
    for _ in range(50):
        average.update()
    assert torch.equal(average.network.mean, network.mean) and torch.equal(average.network.std, network.std)


def test_the_network_is_not_touched(make_spec: Any) -> None:
    network = build_network(make_spec())
    before = {name: values.clone() for name, values in network.state_dict().items()}
    average = Average(network, 0.9)
    for values in average.network.parameters():
        values.data.zero_()
    average.update()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_a_tensor_that_two_layers_share_moves_once() -> None:
    body = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    body[1].weight = body[0].weight
    network = Network(body, Normalization.NONE)
    average = Average(network, 0.9)
    average.update()
    old = body[0].weight.detach().clone()
    with torch.no_grad():
        body[0].weight += 11.0
    average.update()  # the second step keeps 2/11 of the average
    seen = average.network.body.state_dict()
    for name in ("0.weight", "1.weight"):
        torch.testing.assert_close(seen[name], old + 9.0)
