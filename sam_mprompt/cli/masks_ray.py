"""`masks --engine ray`: many processes make the masks of a dataset, in one folder that all of them reach."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .ray_job import digest_of, from_anywhere, need_packages, say_quarantined, table_of, worked_through
from .ray_options import RayOptions
from .ui import messages, say

if TYPE_CHECKING:
    from ..distributed.job import Job
    from ..masks.folder import MaskFolder
    from ..masks.how import HowToMask


def masks_with_ray(
    options: RayOptions,
    how: "HowToMask",
    settings: Mapping[str, Any],
    data: Path,
    out: Path,
    device: str | None,
    **reads: Any,
) -> tuple[int, Path]:
    """Make the masks of a dataset; return how many there are, and the path of the picture to look at.

    Args:
        options: the folder of the job, and with how many processes.
        how, settings: what makes the masks, and what they depend on.
        data: the dataset's folder.
        out: the folder of the masks.
        device: of each process.
        reads: further arguments of `Annotated.read`.

    Raises:
        UsageError: no such data, or `out` or the job's folder holds something else.
        RunError: parts cannot be done, no image has a mask, or masks that an earlier command made are gone.
    """
    need_packages("Making masks")
    from ..distributed.listing import name_of
    from ..distributed.masking import Masking
    from ..masks.folder import Annotated, MaskFolder

    folder = MaskFolder(out, Annotated.read(data, **reads))
    folder.begin(settings)
    for line in folder.images.problems:
        say(messages(), line)
    images = [name_of(sample.image) for sample in folder.images.samples]
    how = replace(how, base=from_anywhere(how.base), run=None if how.run is None else how.run.absolute())
    here, there = data.absolute(), out.absolute()
    request: dict[str, Any] = {"work": "masks", "data": str(here), "out": str(there), "images": digest_of(images)}
    request |= {"by": dict(settings), "reading": vars(folder.images.reading)}
    gpu = False if how.without_network else None if device is None else "cuda" in device
    work = partial(Masking, how, device, partial(Annotated.read, here, **reads), there)
    job = worked_through(options, request, lambda: table_of(images), work, gpu=gpu, doing="making masks")
    return _checked(job, folder), folder.preview()


def _checked(job: "Job", folder: "MaskFolder") -> int:
    """Return how many masks there are, and say of which images there are none."""
    from ..distributed.outcome import concluded

    outcome = concluded(job)
    say_quarantined(outcome)
    missing = [sample.image for sample in folder.images.samples if not folder.has(sample)]
    if len(missing) > outcome.quarantined:
        raise RunError(
            f"{len(missing) - outcome.quarantined} masks of '{folder.out}' were made and are there no longer. "
            "Another folder with --to makes them again."
        )
    if len(missing) == outcome.images:
        raise RunError(f"None of the {outcome.images} images has a mask. The first: {outcome.first[0][1]}.")
    return outcome.images - len(missing)
