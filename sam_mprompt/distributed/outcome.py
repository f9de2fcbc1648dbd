"""What became of a job: that every image of its list has one row, and how many of them were quarantined."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import RunError
from ..shown import csv_line
from .job import IMAGE, QUARANTINED, ROWS, Job

LIST = "quarantined.csv"
_FIRST = 5


@dataclass(frozen=True)
class Outcome:
    """A job that is done.

    Attributes:
        images: how many rows there are: one per image.
        quarantined: how many of them have a reason instead of a result.
        first: the first ones of these, as (image, reason).
        rows: where the tables of rows lie.
        list: where the quarantined images are listed, if there are some.
    """

    images: int
    quarantined: int
    first: tuple[tuple[str, str], ...]
    rows: str
    list: str | None


def tables(job: Job) -> Iterator[pa.Table]:
    """Yield the rows of each part with what the list has of its images, part by part.

    Raises:
        RunError: a part is missing, or its rows are not one for each of its images.
    """
    for number in job.parts:
        listed, rows = job.part(number), job.rows(number)
        if not rows.column(IMAGE).equals(listed.column(IMAGE)):
            raise RunError(
                f"The rows of part {number} in '{job.place.address_of(ROWS)}' are not one for each of its images. "
                "Remove its file to do the part again."
            )
        for column in set(listed.column_names) - {IMAGE}:
            rows = rows.append_column(column, listed.column(column))
        yield rows


def concluded(job: Job) -> Outcome:
    """Check a job that is done and list what was quarantined. Raises RunError as `tables` does."""
    images, quarantined, first, lines = 0, 0, list[tuple[str, str]](), [csv_line([IMAGE, QUARANTINED])]
    for table in tables(job):
        images += table.num_rows
        for row in table.filter(pc.is_valid(table.column(QUARANTINED))).select([IMAGE, QUARANTINED]).to_pylist():
            quarantined += 1
            first = [*first, (row[IMAGE], row[QUARANTINED])][:_FIRST]
            lines.append(csv_line([row[IMAGE], row[QUARANTINED]]))
    if quarantined:
        job.place.write(LIST, "".join(lines).encode())
    listed = job.place.address_of(LIST) if quarantined else None
    return Outcome(images, quarantined, tuple(first), job.place.address_of(ROWS), listed)
