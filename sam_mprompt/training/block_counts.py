"""How many heads the blocks of the training images hold, for a counter that predicts distributions of them."""

import numpy as np

from ..arrays import FloatArray
from ..counting.scope import heads_per_cell
from ..data.sources import DiskSource, Source
from ..losses.counts import BinStatistics
from ..models.counter import CrowdCounter
from ..models.decoders import BlockOutput
from ..targets import inside

MOST = 1000
"""Images that are looked at, spread evenly over the source; of procedural scenes, which have to be painted, a tenth."""


def begin_with_counts(counter: CrowdCounter, source: Source) -> None:
    """Give a counter that predicts distributions its bins and its start; others stay as they are.

    Raises:
        UsageError: an image has no annotation, or can't be had.
    """
    output = counter.regressor.output
    if isinstance(output, BlockOutput):
        output.begin(BinStatistics.of(block_counts(source, counter.stride), len(output.centres)))


def block_counts(source: Source, stride: int) -> list[FloatArray]:
    """Return, of each image that is looked at, float32 (h, w): the heads in each block of `stride` pixels.

    Images are those that are counted: whole and resized, not cropped or augmented. Files are not decoded.

    Raises:
        UsageError: an image has no annotation, or can't be had.
    """
    on_disk = isinstance(source, DiskSource)
    most = min(MOST if on_disk else MOST // 10, len(source))
    found = []
    for index in np.unique(np.linspace(0, len(source) - 1, most).round().astype(int)):
        frame = source.outline(int(index)) if isinstance(source, DiskSource) else source.frame(0, int(index))
        own = frame.points[inside(frame.points, frame.size)]
        found.append(heads_per_cell(own, frame.size, stride))
    return found
