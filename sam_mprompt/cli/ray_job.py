"""What commands share that give their work to Ray: a job in a folder, begun or gone on with until all of it is done."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted
from .ray_options import IMAGE_SECONDS, PART_SIZE, RayOptions
from .ui import messages, progress, say

if TYPE_CHECKING:
    import pyarrow as pa

    from ..distributed.job import Job
    from ..distributed.outcome import Outcome
    from ..distributed.passes import MakeWork


def need_packages(doing: str = "Counting") -> None:
    """Refuse to work with Ray where it is not installed. Raises UsageError."""
    from ..data.packages import needed

    for package in ("pyarrow", "ray"):
        needed(package, "ray", f"{doing} with Ray")


def worked_through(
    options: RayOptions,
    request: Mapping[str, Any],
    listed: "Callable[[], pa.Table]",
    work: "MakeWork",
    *,
    gpu: bool | None,
    doing: str = "counting",
) -> "Job":
    """Begin a job or go on with it until all of it is done, and return it.

    Args:
        options: its folder, and with how many processes.
        request, listed: as `Job.open` takes them.
        work, gpu: as `work_through` takes them.
        doing: what the progress bar is called.

    Raises:
        UsageError: another job in the folder, another process at it, or work that cannot be made.
        RunError: parts cannot be done, or what was done cannot be written.
        Interrupted: by Ctrl-C; what was done stays.
    """
    from ..distributed.job import Job
    from ..distributed.passes import work_through
    from ..distributed.place import Place
    from ..files import locked

    place = Place(str(options.to))
    with ExitStack() as stack:
        if place.local is not None:  # object stores have no locks: there two commands do the same work twice
            stack.enter_context(locked(place.local, "written"))
        job = Job.open(place, request, listed, part_size=options.part_size or PART_SIZE)
        if done := job.images - job.left():
            say(messages(), f"{done} of {job.images} images are in '{place.address}' already.")
        try:
            with progress(doing, job.images) as report:
                work_through(
                    *(job, work),
                    actors=options.actors,
                    address=options.ray_address,
                    gpu=gpu,
                    on_part=report,
                    image_seconds=options.image_timeout or IMAGE_SECONDS,
                )
        except KeyboardInterrupt as error:
            done = job.images - job.left()
            raise Interrupted(
                f"stopped; {done} of {job.images} images are in '{place.address}'. The same command goes on."
            ) from error
    return job


def say_quarantined(outcome: "Outcome") -> None:
    """Say why the first images that were set aside have no result."""
    for image, reason in outcome.first:
        say(messages(), f"Quarantined: '{image}': {reason}")


def table_of(images: Iterable[str]) -> "pa.Table":
    """Return the list of a job: each image once, in order."""
    import pyarrow as pa

    from ..distributed.job import IMAGE
    from ..distributed.listing import in_order

    return pa.table({IMAGE: in_order(images)})


def digest_of(images: Iterable[str]) -> str:
    """Return what a list of images is told from others by: a SHA-256, in hexadecimal."""
    from ..distributed.listing import in_order

    return hashlib.sha256("\0".join(in_order(images)).encode()).hexdigest()


def from_anywhere(path: str) -> str:
    """Return a path as processes in other folders find it; names and addresses stay as they are."""
    from ..files import is_file, is_folder

    here = Path(path)
    return str(here.absolute()) if is_file(here) or is_folder(here) else path
