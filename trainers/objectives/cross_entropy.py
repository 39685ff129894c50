"""Supervised training: cross-entropy with label smoothing; an objective without a teacher.

CE = -sum_k q_k log p_k with q_k = (1 - e) [k = y] + e / K for label smoothing e
(Szegedy et al. 2015, arXiv 1512.00567, section 7); the mean over the batch.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

NEEDS_TEACHER = False


def build(*, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]:
    """(logits (N, K), no teacher, labels (N,)) -> the loss and its only part."""

    def objective(logits_NK: Tensor, teacher_logits_NK: Tensor | None, labels_N: Tensor) -> dict[str, Tensor]:
        loss = F.cross_entropy(logits_NK, labels_N, label_smoothing=label_smoothing)
        return {"loss": loss, "cross_entropy": loss}

    return objective
