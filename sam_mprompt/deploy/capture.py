"""A counter becomes a graph: `torch.export` of backbone, prompt modules and regressor, never of a segmenter."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..errors import UsageError
from ..models.counter import CrowdCounter
from ..models.sam_encoder import SamEncoder
from ..tuning.adapters import merge
from .free_sizes import free_sizes
from .same_padding import plain_padding

INPUT, OUTPUT = "tiles", "density"
_MOST_TILES = 4096
_MOST_CELLS = 1024
"""Of a free side, in units of `size_divisor`."""

_EXAMPLE = (3, 22, 36)
"""Tiles, and sides in units of `size_divisor`: no two alike, so that nothing is taken for square or single."""


class DensityOf(nn.Module):
    """Normalised tiles (B, 3, H, W) -> heads per cell (B, h, w): what `DensityBackend.density` computes."""

    def __init__(self, counter: CrowdCounter) -> None:
        super().__init__()
        self.counter = counter

    def forward(self, tiles: Tensor) -> Tensor:
        """Count."""
        return cast(Tensor, self.counter(tiles).density[:, 0])


def merged(counter: CrowdCounter) -> CrowdCounter:
    """Return a copy of a counter whose adapter is folded into the base where its method allows that."""
    own = copy.deepcopy(counter)
    if isinstance(own.encoder, PeftModel):
        with suppress(UsageError):  # prompt modules and others that stay beside the base
            own.encoder = merge(own.encoder)
    return own.requires_grad_(False).eval()


def capture(counter: CrowdCounter, tile: int | None) -> ExportedProgram:
    """Capture a counter that counts (no segmenter but as a gate), on the CPU.

    Args:
        counter: as `merged` returns it.
        tile: side of the one size of tile that the graph takes; None for sides that are free multiples of
            `size_divisor`. The number of tiles is free.

    Raises:
        UsageError: a network that cannot be captured.
    """
    unit = counter.size_divisor
    sides: dict[int, Any] = {0: Dim("count", min=1, max=_MOST_TILES)}
    with ExitStack() as stack:
        stack.enter_context(_quietly())
        if tile is None:
            most = largest_side(counter) // unit
            if _sam(counter) is not None:
                stack.enter_context(free_sizes())
            stack.enter_context(plain_padding())
            count, rows, columns = _EXAMPLE[0], min(_EXAMPLE[1], most - 1), min(_EXAMPLE[2], most)
            example = torch.zeros(count, 3, rows * unit, columns * unit)
            least = max(2, -(-64 // unit))
            sides |= {at: unit * Dim(name, min=least, max=most) for at, name in ((2, "rows"), (3, "columns"))}
        else:
            example = torch.zeros(2, 3, tile, tile)
        try:
            with torch.no_grad():
                return torch.export.export(DensityOf(counter), (example,), dynamic_shapes={INPUT: sides}, strict=False)
        except Exception as error:  # whatever torch meets in anybody's encoder
            free = "with free sides" if tile is None else f"for tiles of {tile} px"
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"This network cannot be captured {free}: {reason}", about="capture") from error


def largest_side(counter: CrowdCounter) -> int:
    """Return the largest free side in pixels: a table of positions of which a part is taken ends somewhere."""
    sam = _sam(counter)
    if sam is None or sam.positions == "resample":
        return _MOST_CELLS * counter.size_divisor
    cells = sam.config.grid if sam.positions == "slice" else min(sam.config.grid, sam.config.span)
    return cells * counter.size_divisor


def _sam(counter: CrowdCounter) -> SamEncoder | None:
    return next((module for module in counter.modules() if isinstance(module, SamEncoder)), None)


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
