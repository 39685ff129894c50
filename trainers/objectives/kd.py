"""Knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv 1503.02531, section 2).

loss = (1 - a) CE(student, labels) + a T^2 KL(softmax(teacher / T) || softmax(student / T))

with a = `weight`, T = `temperature`, and both terms the mean over the batch (`batchmean`). T^2 keeps the
gradients of the soft term at the size of the hard term's for every T. The defaults are the course's.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

NEEDS_TEACHER = True


def build(
    *, temperature: float = 20.0, weight: float = 0.5, label_smoothing: float = 0.0
) -> Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]:
    """(student logits (N, K), teacher logits (N, K), labels (N,)) -> the loss and its two parts, unweighted."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; allowed: above 0")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight}; allowed: 0 to 1")

    def objective(logits_NK: Tensor, teacher_logits_NK: Tensor | None, labels_N: Tensor) -> dict[str, Tensor]:
        if teacher_logits_NK is None:
            raise ValueError("kd needs a teacher's logits")
        hard = F.cross_entropy(logits_NK, labels_N, label_smoothing=label_smoothing)
        soft = temperature**2 * F.kl_div(
            F.log_softmax(logits_NK / temperature, dim=1),
            F.log_softmax(teacher_logits_NK / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return {"loss": (1 - weight) * hard + weight * soft, "cross_entropy": hard, "distillation": soft}

    return objective
