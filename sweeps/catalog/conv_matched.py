"""Plain, depthwise & pointwise and group convolution at the same number of parameters, to a percent.

Question: which kind of convolution is most accurate per parameter, when the counts are equal for these
classes? (The report's three differ by up to 5 %, and by more with other than its 11 classes.)
Cost: 3 runs per seed; about a minute on 2 cores with plates and the recipe `quick`.
Expected (the report): depthwise > plain > group.
"""

from collections.abc import Callable
from itertools import pairwise

from sweeps.context import Context
from sweeps.plan import Job
from trainers.errors import SpecError
from trainers.spec import Choice, Role

BUDGET = 264_075
"""Parameters of every network: the report's plain CNN with 11 classes."""

GROUPS, BISECTIONS = 8, 40
Channels = tuple[int, ...]


def jobs(context: Context) -> tuple[Job, ...]:
    """The three networks with channels that fit the budget, for every seed."""
    return context.of_every_seed(_of_seed)


def _of_seed(context: Context, seed: int) -> tuple[Job, ...]:
    num_classes = context.data.num_classes
    channels = {
        "conv_plain": solve((32, 64, 128, 128), 1, lambda found: plain_params(found, num_classes)),
        "conv_depthwise": solve((64, 128, 256, 512), 1, lambda found: depthwise_params(found, num_classes)),
        "conv_group": solve((32, 64, 64, 192, 256), GROUPS, lambda found: group_params(found, num_classes)),
    }
    return tuple(
        context.job(name, role=Role.VARIANT, model=Choice(name=name, args={"channels": found}), seed=seed)
        for name, found in channels.items()
    )


def solve(proportions: Channels, step: int, count: Callable[[Channels], int]) -> Channels:
    """Channels, multiples of `step`, within BUDGET and close to it; SpecError if there are none.

    The report's proportions are scaled by bisection; what rounding left of the budget goes to single
    layers. With hundreds of classes the linear layer takes so much that little is left of the proportions.
    """
    low, high = 0.0, 100.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if count(_scaled(proportions, middle, step)) <= BUDGET else (low, middle)
    channels = _scaled(proportions, low, step)
    if count(channels) > BUDGET:
        raise SpecError(
            f"no channels fit {BUDGET:,} parameters with so many classes; the least are {count(channels):,}"
        )
    while more := [wider for wider in _one_step_wider(channels, step) if count(wider) <= BUDGET]:
        channels = max(more, key=count)
    return channels


def _scaled(proportions: Channels, factor: float, step: int) -> Channels:
    return tuple(step * max(1, round(factor * channels / step)) for channels in proportions)


def _one_step_wider(channels: Channels, step: int) -> list[Channels]:
    return [(*channels[:at], channels[at] + step, *channels[at + 1 :]) for at in range(len(channels))]


# Closed forms. A convolution's bias and its batch norm have three values per channel; the linear layer sees a
# map of s x s, with the networks' own default s.


def plain_params(channels: Channels, num_classes: int, final_size: int = 4) -> int:
    """Parameters of `conv_plain`."""
    layers = sum(9 * inputs * outputs + 3 * outputs for inputs, outputs in pairwise((3, *channels)))
    return layers + _linear(channels[-1], num_classes, final_size)


def depthwise_params(channels: Channels, num_classes: int, final_size: int = 4) -> int:
    """Parameters of `conv_depthwise`: nine and three per channel, then a 1x1 convolution."""
    layers = sum(12 * inputs + inputs * outputs + 3 * outputs for inputs, outputs in pairwise((3, *channels)))
    return layers + _linear(channels[-1], num_classes, final_size)


def group_params(channels: Channels, num_classes: int, final_size: int = 8) -> int:
    """Parameters of `conv_group`: the first layer is dense, the others see an eighth of their inputs."""
    dense = 9 * 3 * channels[0] + 3 * channels[0]
    layers = sum(9 * inputs // GROUPS * outputs + 3 * outputs for inputs, outputs in pairwise(channels))
    return dense + layers + _linear(channels[-1], num_classes, final_size)


def _linear(channels: int, num_classes: int, final_size: int) -> int:
    return channels * final_size**2 * num_classes + num_classes
