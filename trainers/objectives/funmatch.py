"""Function matching: the teacher alone, on mixed pictures (Beyer et al. 2021, "A good teacher is patient and
consistent", arXiv 2106.05237, section 3).

loss = T^2 KL(softmax(teacher / T) || softmax(student / T)), the mean over the batch; no labels.

Student and teacher see the same view, and mixup (`augment.mixup_alpha`, 1 is the paper's aggressive one) takes them
far from the training pictures, where the functions must agree as well. It pays with long training.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

NEEDS_TEACHER = True
NEEDS_MIXUP = True


def build(*, temperature: float = 1.0) -> Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]:
    """(student logits (N, K), teacher logits (N, K), labels that are not looked at) -> the loss and its only part."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; allowed: above 0")

    def objective(logits_NK: Tensor, teacher_logits_NK: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        if teacher_logits_NK is None:
            raise ValueError("funmatch needs a teacher's logits")
        loss = temperature**2 * F.kl_div(
            F.log_softmax(logits_NK / temperature, dim=1),
            F.log_softmax(teacher_logits_NK / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return {"loss": loss, "distillation": loss}

    return objective
