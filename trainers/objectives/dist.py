"""DIST: distillation by correlation (Huang et al. 2022, arXiv 2205.10536).

loss = CE(student, labels) + T^2 (b inter + g intra), with Pearson distances d = 1 - correlation between softmax
probabilities at temperature T: `inter` between the rows of student and teacher (the classes of one picture),
`intra` between their columns (the pictures of one class in the batch), each the mean. Scale and offset of the
teacher's probabilities do not matter, only their relations, which a weak student can follow. The factor T^2 is the
authors' code's.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

NEEDS_TEACHER = True


def build(
    *, temperature: float = 4.0, beta: float = 1.0, gamma: float = 1.0, label_smoothing: float = 0.0
) -> Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]:
    """(student logits (N, K), teacher logits (N, K), labels) -> the loss and its three parts, unweighted."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; allowed: above 0")
    if min(beta, gamma) < 0:
        raise ValueError(f"beta is {beta} and gamma is {gamma}; allowed: 0 or more")

    def objective(logits_NK: Tensor, teacher_logits_NK: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        if teacher_logits_NK is None:
            raise ValueError("dist needs a teacher's logits")
        hard = F.cross_entropy(logits_NK, targets, label_smoothing=label_smoothing)
        student_NK, teacher_NK = (F.softmax(z / temperature, dim=1) for z in (logits_NK, teacher_logits_NK))
        inter = temperature**2 * _pearson_distance(student_NK, teacher_NK)
        intra = temperature**2 * _pearson_distance(student_NK.T, teacher_NK.T)
        loss = hard + beta * inter + gamma * intra
        return {"loss": loss, "cross_entropy": hard, "inter_distillation": inter, "intra_distillation": intra}

    return objective


def _pearson_distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean over rows of 1 - correlation; a constant row correlates with nothing."""
    one, other = (rows - rows.mean(dim=1, keepdim=True) for rows in (one, other))
    return (1 - F.cosine_similarity(one, other, dim=1, eps=1e-8)).mean()
