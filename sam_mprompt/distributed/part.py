"""Doing one part: every image of it gets one row, whatever ends the process meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from .attempts import Attempts
from .deadline import in_time
from .job import IMAGE, QUARANTINED, Job

Row = Mapping[str, Any]
"""Values by column: `image`, and `quarantined` or the results; what is left out is null."""


class Work(Protocol):
    """What is done with images; made once in each process."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows; `image` and `quarantined` are among them."""

    def rows(self, images: Sequence[str]) -> Iterator[Row]:
        """Yield one row per image, in any order.

        An image that cannot be worked on gets a row with its reason. What is raised ends the attempt at the part.
        """


class Done(NamedTuple):
    """How many images a part has, and how many of them were quarantined."""

    images: int
    quarantined: int


def do_part(job: Job, number: int, work: Work, *, image_seconds: float | None = None) -> Done:
    """Work on the images of a part and write their rows, unless they are there.

    The first attempt gives all images to the work at once, later ones give it one after the other: see `attempts`.

    Args:
        job, number: the part.
        work: what is done with its images.
        image_seconds: ends this process when an image takes longer; None for no limit.

    Raises:
        Exception: what the work raises; the part is not done then, and the next attempt knows of it.
    """
    images: list[str] = job.part(number).column(IMAGE).to_pylist()
    if job.is_done(number):
        rows: list[Row] = job.rows(number).to_pylist()
    else:
        attempts = Attempts.begin(job, number)
        made = work.rows(images) if attempts.begun == 1 else _one_by_one(images, attempts, work)
        if image_seconds is not None:
            made = in_time(made, image_seconds, partial(attempts.late, image_seconds))
        by_image = {row[IMAGE]: row for row in made}
        rows = [by_image[image] for image in images]
        job.write_rows(number, rows, work.schema)
        attempts.forget()
    return Done(len(rows), sum(row.get(QUARANTINED) is not None for row in rows))


def _one_by_one(images: Sequence[str], attempts: Attempts, work: Work) -> Iterator[Row]:
    """Work on each image alone; first on those that ended a process before: nothing is lost when they do it again."""
    for image in sorted(images, key=lambda image: -attempts.ended.get(image, 0)):
        if (reason := attempts.verdict(image)) is not None:
            yield {IMAGE: image, QUARANTINED: reason}
            continue
        attempts.try_image(image)
        try:
            yield from work.rows([image])
        except Exception as error:
            attempts.failed(image, f"{type(error).__name__}: {error}")
            raise
    attempts.tried()
