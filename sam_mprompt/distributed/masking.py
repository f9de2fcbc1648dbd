"""Making pseudo masks as a work: an image's mask goes into the folder of masks, and a row says that it was done."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from ..masks.folder import Annotated, MaskFolder
from ..masks.how import HowToMask
from .job import IMAGE, QUARANTINED
from .listing import name_of
from .part import Row


class Masking:
    """Makes masks with a source that is loaded once.

    A mask that is there already is kept, so a part that is done again costs only the masks that it lacks.

    Args:
        how: with what.
        device: as `HowToMask.maker` takes it.
        read: reads the annotated images.
        out: folder of the masks.

    Raises:
        UsageError: the source cannot be loaded here, or there are no such images.
    """

    schema: ClassVar[pa.Schema] = pa.schema([(IMAGE, pa.string()), (QUARANTINED, pa.string())])

    def __init__(self, how: HowToMask, device: str | None, read: Callable[[], Annotated], out: Path) -> None:
        self._source = how.maker(device)
        self._folder = MaskFolder(out, read())
        self._samples = {name_of(sample.image): sample for sample in self._folder.images.samples}

    def rows(self, images: Sequence[str]) -> Iterator[Row]:
        """Make the masks of images, and yield the row of each.

        Raises:
            UsageError: as `MaskFolder.add`: what ends the command in one process ends it here too.
            RunError: the disk is full.
        """
        for image in images:
            if (sample := self._samples.get(image)) is None:
                yield {IMAGE: image, QUARANTINED: "it had an annotation when the job began, and has none now"}
                continue
            self._folder.add(sample, self._source)
            yield {IMAGE: image}
