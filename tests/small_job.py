"""A job over small images whose counter is quick, and works that fail in ways that an image cannot."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from sam_mprompt.distributed.job import IMAGE, QUARANTINED, Job
from sam_mprompt.distributed.place import Place
from sam_mprompt.errors import UsageError

SCHEMA = pa.schema([(IMAGE, pa.string()), ("length", pa.int64()), (QUARANTINED, pa.string())])
NAMES = tuple(f"{name}.png" for name in "abcdefg")


def job_at(address, names=NAMES, *, part_size=3, **request):
    """Open a job in a folder; by default seven images in three parts."""
    return Job.open(Place(str(address)), request, lambda: pa.table({IMAGE: list(names)}), part_size=part_size)


class Lengths:
    """The length of an image's name; what stands in `fails` raises as often as is said there, or always."""

    schema = SCHEMA

    def __init__(self, **fails):
        self.fails, self.calls = fails, []

    def rows(self, images):
        self.calls.append(list(images))
        for image in images:
            if left := self.fails.get(image[0], 0):
                self.fails[image[0]] = left - 1
                raise RuntimeError(f"'{image}' is poison")
            yield {IMAGE: image, "length": len(image)}


def photographs(folder: Path, number: int) -> Path:
    """Make so many small images of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        pixels = np.random.default_rng(index).integers(0, 255, (40 + index % 3, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


def made_elsewhere(monkeypatch, module, folder: Path) -> None:
    """Let a command stand where its job would begin: its work is made in another folder, as on another machine."""

    def worked_through(options, request, listed, work, **others):
        monkeypatch.chdir(folder)
        work()
        raise UsageError("made elsewhere")

    monkeypatch.setattr(module, "worked_through", worked_through)
