"""Attention transfer (Zagoruyko and Komodakis 2017, arXiv 1612.03928, equation 2, activation-based).

loss = CE(student, labels) + w sum_j mean((q_j student - q_j teacher)^2), where q_j is the attention map of stage j,
the sum of squares over channels, flattened and scaled to length 1, and the mean is over pictures and pixels.

Stages are matched from the deepest; where their maps differ in size, the larger is averaged down. Equation 2 has
norms; squares, the mean and w = `attention_weight` = 1000 are those of the authors' code and of Tian et al. 2019,
arXiv 1910.10699. (Not `weight`, which recipes set: kd's share of the loss.)
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

NEEDS_TEACHER = True
NEEDS_FEATURES = True

Maps = Sequence[Tensor]


def build(
    *, attention_weight: float = 1000.0, num_stages: int = 3, label_smoothing: float = 0.0
) -> Callable[[Tensor, Tensor | None, Tensor, Maps, Maps], dict[str, Tensor]]:
    """(student logits, teacher logits, labels, student maps, teacher maps) -> the loss and its two parts, unweighted.

    Logits are (N, K), maps (N, C, H, W) per stage, shallow to deep; of these at most the deepest `num_stages`
    are used.
    """
    if attention_weight < 0:
        raise ValueError(f"attention_weight is {attention_weight}; allowed: 0 or more")
    if num_stages < 1:
        raise ValueError(f"num_stages is {num_stages}; allowed: 1 or more")

    def objective(
        logits_NK: Tensor, teacher_logits_NK: Tensor | None, targets: Tensor, maps: Maps, teacher_maps: Maps
    ) -> dict[str, Tensor]:
        hard = F.cross_entropy(logits_NK, targets, label_smoothing=label_smoothing)
        pairs = list(zip(reversed(maps), reversed(teacher_maps), strict=False))[:num_stages]
        if not pairs:
            raise ValueError("attention needs a teacher's feature maps")
        attention = torch.stack([_distance(student, teacher) for student, teacher in pairs]).sum()
        return {"loss": hard + attention_weight * attention, "cross_entropy": hard, "attention": attention}

    return objective


def _distance(student_NCHW: Tensor, teacher_NCHW: Tensor) -> Tensor:
    size = min(student_NCHW.shape[-1], teacher_NCHW.shape[-1])
    student_NP, teacher_NP = (_attention(maps_NCHW, size) for maps_NCHW in (student_NCHW, teacher_NCHW))
    return (student_NP - teacher_NP).square().mean()


def _attention(maps_NCHW: Tensor, size: int) -> Tensor:
    """Where a stage looks: (N, size * size), each of length 1."""
    pooled_NCHW = F.adaptive_avg_pool2d(maps_NCHW, size)
    return F.normalize(pooled_NCHW.square().mean(dim=1).flatten(1), dim=1)
