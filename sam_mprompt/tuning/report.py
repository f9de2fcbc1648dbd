"""How much of a model trains."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from .selection import base_modules


@dataclass(frozen=True)
class TunableReport:
    """Numbers of parameters; shared ones count once.

    Attributes:
        trainable: how many have gradients.
        total: how many there are, adapters included.
        by_part: (trainable, total) by the model's child; adapters inside it are counted apart, as "<child> adapter".
    """

    trainable: int
    total: int
    by_part: Mapping[str, tuple[int, int]]

    def __str__(self) -> str:
        share = 100 * self.trainable / max(self.total, 1)
        parts = (f"{part} {_short(count)} of {_short(total)}" for part, (count, total) in self.by_part.items())
        return f"{_short(self.trainable)} of {_short(self.total)} parameters train ({share:.1f} %): {', '.join(parts)}"


def report(model: nn.Module) -> TunableReport:
    """Count the parameters of an encoder, or of a model that has one as a child."""
    base = {id(own) for _, _, module in base_modules(model) for own in module.parameters(recurse=False)}
    by_part: dict[str, tuple[int, int]] = {}
    for path, parameter in model.named_parameters():
        part = path.replace("base_model.model.", "").split(".")[0] + ("" if id(parameter) in base else " adapter")
        trainable, total = by_part.get(part, (0, 0))
        by_part[part] = (trainable + parameter.requires_grad * parameter.numel(), total + parameter.numel())
    return TunableReport(
        trainable=sum(trainable for trainable, _ in by_part.values()),
        total=sum(total for _, total in by_part.values()),
        by_part=by_part,
    )


def _short(number: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
