"""What a batch is trained on, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Heads:
    """The annotated heads of a batch's crops, those of the first crop first.

    Attributes:
        points: float32 (N, 2) as (x, y) in pixels of their own crop, inside it.
        per_crop: how many are each crop's; they sum to N.
    """

    points: Tensor
    per_crop: tuple[int, ...]

    def each(self) -> tuple[Tensor, ...]:
        """Return the points (n, 2) of every crop."""
        return self.points.split(list(self.per_crop))

    def per_cell(self, size: tuple[int, int], stride: int) -> Tensor:
        """Return float32 (B, 1, h, w): how many heads lie in each cell of `stride` pixels; a head is in one cell."""
        rows, columns = size
        repeats = torch.tensor(self.per_crop, device=self.points.device)
        crop = torch.repeat_interleave(repeats, output_size=len(self.points))  # told, else a GPU is waited for
        x, y = (self.points / stride).long().unbind(1)
        at = (crop * rows + y.clamp(0, rows - 1)) * columns + x.clamp(0, columns - 1)
        counts = torch.zeros(len(self.per_crop) * rows * columns, device=self.points.device)
        counts.index_add_(0, at, torch.ones_like(at, dtype=counts.dtype))
        return counts.view(len(self.per_crop), 1, rows, columns)

    @classmethod
    def joined(cls, parts: Sequence["Heads"]) -> "Heads":
        """Return the heads of several batches as those of one."""
        return cls(torch.cat([part.points for part in parts]), tuple(n for part in parts for n in part.per_crop))


@dataclass(frozen=True)
class Targets:
    """What a batch is trained on; every map is (B, 1, h, w) on the density's cells.

    Attributes:
        density: float, heads per cell.
        pseudo_mask: bool, m_p of Eq. 1.
        context_mask: bool, m_K of Eq. 2.
        heads: the heads themselves, where the loss is one of points; else None.
    """

    density: Tensor
    pseudo_mask: Tensor
    context_mask: Tensor
    heads: Heads | None = None

    @property
    def maps(self) -> dict[str, Tensor]:
        """The maps by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, device: torch.device) -> "Targets":
        """Return a copy on `device`."""
        heads = self.heads
        if heads is not None:
            heads = replace(heads, points=heads.points.to(device, non_blocking=True))
        return Targets(**{name: value.to(device, non_blocking=True) for name, value in self.maps.items()}, heads=heads)

    def pin_memory(self) -> "Targets":
        """Return a copy in memory that a GPU can fetch from while the CPU goes on."""
        heads = self.heads
        if heads is not None:
            heads = replace(heads, points=heads.points.pin_memory())
        return Targets(**{name: value.pin_memory() for name, value in self.maps.items()}, heads=heads)

    @classmethod
    def stacked(cls, parts: Sequence["Targets"]) -> "Targets":
        """Return those of single crops, whose maps are (1, h, w), as those of a batch."""
        heads = [part.heads for part in parts if part.heads is not None]
        maps = {name: torch.stack([part.maps[name] for part in parts]) for name in parts[0].maps}
        return cls(**maps, heads=Heads.joined(heads) if heads else None)
