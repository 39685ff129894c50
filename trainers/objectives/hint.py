"""FitNet hints: the student's feature map, projected, resembles the teacher's (Romero et al. 2015, arXiv 1412.6550).

loss = CE(student, labels) + w mean((r(student map) - teacher map)^2) (equation 3), with r a learned 1x1 convolution,
which is trained beside the student and thrown away: it does not count as the student's parameters.

The stage is counted from the deepest (-1); where the maps differ in size, the larger is averaged down. The paper trains
on hints first and on labels afterwards; here both are one training, with w = `hint_weight` = 100, as in Tian et al.
2019, arXiv 1910.10699. (Not `weight`, which recipes set: kd's share of the loss.)
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

NEEDS_TEACHER = True
NEEDS_FEATURES = True

Maps = Sequence[Tensor]


class Hint(nn.Module):
    """The objective, with the projection that `initialize` makes to fit the maps."""

    def __init__(self, weight: float, stage: int, label_smoothing: float) -> None:
        super().__init__()
        self._weight, self._stage, self._label_smoothing = weight, stage, label_smoothing

    def initialize(self, maps: Maps, teacher_maps: Maps) -> None:
        """Make the projection between these maps (N, C, H, W) per stage; ValueError if one of them lacks the stage."""
        if -self._stage > min(len(maps), len(teacher_maps)):
            have = f"student and teacher have {len(maps)} and {len(teacher_maps)}"
            raise ValueError(f"stage is {self._stage}; {have}; allowed: -1 (the deepest) to the lesser of them")
        student_NCHW, teacher_NCHW = maps[self._stage], teacher_maps[self._stage]
        self.projection = nn.Conv2d(student_NCHW.shape[1], teacher_NCHW.shape[1], 1)

    def forward(
        self, logits_NK: Tensor, teacher_logits_NK: Tensor | None, targets: Tensor, maps: Maps, teacher_maps: Maps
    ) -> dict[str, Tensor]:
        """The loss and its two parts, unweighted; logits are (N, K)."""
        hard = F.cross_entropy(logits_NK, targets, label_smoothing=self._label_smoothing)
        student_NCHW, teacher_NCHW = maps[self._stage], teacher_maps[self._stage]
        size = min(student_NCHW.shape[-1], teacher_NCHW.shape[-1])
        projected_NCHW = self.projection(F.adaptive_avg_pool2d(student_NCHW, size))
        hint = F.mse_loss(projected_NCHW, F.adaptive_avg_pool2d(teacher_NCHW, size))
        return {"loss": hard + self._weight * hint, "cross_entropy": hard, "hint": hint}


def build(*, hint_weight: float = 100.0, stage: int = -2, label_smoothing: float = 0.0) -> nn.Module:
    """(student logits, teacher logits, labels, student maps, teacher maps) -> the loss and its two parts."""
    if hint_weight < 0:
        raise ValueError(f"hint_weight is {hint_weight}; allowed: 0 or more")
    if stage >= 0:
        raise ValueError(f"stage is {stage}; allowed: -1 (the deepest), -2, ...")
    return Hint(hint_weight, stage, label_smoothing)
