"""Decoupled knowledge distillation (Zhao et al. 2022, arXiv 2203.08679).

loss = CE(student, labels) + T^2 (a TCKD + b NCKD), the mean over the batch, with softmax at temperature T and
TCKD = KL([p_t, 1 - p_t] of the teacher || the student's), the target class against all others together, and
NCKD = KL(p^ teacher || p^ student) over the other classes alone, normalised to 1.

Hinton's KL is TCKD + (1 - p_t) NCKD; here NCKD counts as much where the teacher is sure. The paper raises the
distillation's share over its first 20 epochs; we do not. It needs one label for each picture, so no mixup.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

NEEDS_TEACHER = True
NEEDS_HARD_LABELS = True


def build(
    *, temperature: float = 4.0, alpha: float = 1.0, beta: float = 8.0
) -> Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]:
    """(student logits (N, K), teacher logits (N, K), labels (N,)) -> the loss and its three parts, unweighted."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; allowed: above 0")
    if min(alpha, beta) < 0:
        raise ValueError(f"alpha is {alpha} and beta is {beta}; allowed: 0 or more")

    def objective(logits_NK: Tensor, teacher_logits_NK: Tensor | None, labels_N: Tensor) -> dict[str, Tensor]:
        if teacher_logits_NK is None:
            raise ValueError("dkd needs a teacher's logits")
        hard = F.cross_entropy(logits_NK, labels_N)
        student, teacher = (_decoupled(z / temperature, labels_N) for z in (logits_NK, teacher_logits_NK))
        target, others = (temperature**2 * _kl(t, s) for t, s in zip(teacher, student, strict=True))
        loss = hard + alpha * target + beta * others
        return {"loss": loss, "cross_entropy": hard, "target_distillation": target, "other_distillation": others}

    return objective


def _decoupled(logits_NK: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of target and not target (N, 2), and of the other classes among themselves (N, K - 1)."""
    labels_N1 = labels_N[:, None]
    classes_J = torch.arange(logits_NK.shape[1] - 1, device=logits_NK.device)
    others_NJ = logits_NK.gather(1, classes_J + (classes_J >= labels_N1))  # a mask would make the GPU wait
    binary_N2 = torch.cat([logits_NK.gather(1, labels_N1), others_NJ.logsumexp(dim=1, keepdim=True)], dim=1)
    return F.log_softmax(binary_N2, dim=1), F.log_softmax(others_NJ, dim=1)


def _kl(teacher: Tensor, student: Tensor) -> Tensor:
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)
