"""A job in its folder: what was asked, the list of its images, and which parts of the list are done.

job.json         what was asked; another job is refused
images.parquet   the list; a row group is a part
rows/            a file a part, once it is done
attempts/        parts that were begun: see `attempts`
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import RunError, UsageError
from ..files import parse_json
from .place import Place

RECORD, IMAGES, ROWS, ATTEMPTS = "job.json", "images.parquet", "rows", "attempts"
IMAGE, QUARANTINED = "image", "quarantined"
"""Columns that every job's rows have: the image's name, and why it has no result; null where it has one."""

_FORMAT = 1


@dataclass(frozen=True)
class Job:
    """What is to be done with a list of images, and how far it is.

    Attributes:
        place: its folder.
        request: what was asked, as JSON holds it.
        images: how many there are.
        part_size: how many a part has; the last one may have fewer.
        digest: SHA-256 of the request and the list, in hexadecimal.
    """

    place: Place
    request: Mapping[str, Any]
    images: int
    part_size: int
    digest: str = field(repr=False)

    @classmethod
    def open(cls, place: Place, request: Mapping[str, Any], listed: Callable[[], pa.Table], *, part_size: int) -> "Job":
        """Go on with the job in a folder, or begin it there.

        Args:
            place: its folder.
            request: what is asked: what it depends on, all of it JSON.
            listed: makes the list, a table of the column `image` and what else belongs to an image. Called for a new
                job only: one that goes on keeps its list, whatever became of the folders meanwhile.
            part_size: images a part.

        Raises:
            UsageError: the folder holds another job, or other files.
            RunError: it cannot be read or written.
        """
        asked = {"format": _FORMAT, "part_size": part_size, **request}
        if (record := _record(place)) is not None:
            _check(place, record["request"], asked)
        else:
            if others := sorted(place.names() - {IMAGES}):
                raise UsageError(
                    f"'{place.address}' holds other files ({others[0]}): expected a new folder, or one of a job.",
                    about="other job",
                )
            record = _begun(place, asked, listed())
        return cls(place, asked, record["images"], part_size, record["digest"])

    @classmethod
    def found(cls, address: str) -> "Job":
        """Return the job in a folder. Raises UsageError where there is none."""
        place = Place(address)
        if (record := _record(place)) is None:
            raise UsageError(f"'{address}' holds no job.")
        return cls(place, record["request"], record["images"], record["request"]["part_size"], record["digest"])

    @property
    def parts(self) -> range:
        """The numbers of all parts."""
        return range(-(-self.images // self.part_size))

    def unfinished(self) -> list[int]:
        """Return the numbers of the parts that are not done."""
        done = self.place.names(ROWS)
        return [number for number in self.parts if self._file(number) not in done]

    def left(self) -> int:
        """Return how many images are in parts that are not done."""
        return sum(min(self.part_size, self.images - number * self.part_size) for number in self.unfinished())

    def part(self, number: int) -> pa.Table:
        """Return a part of the list. Raises RunError where it cannot be read."""
        try:
            return self._list.read_row_group(number)
        except (OSError, pa.ArrowException) as error:
            raise RunError(f"Cannot read '{self.place.address_of(IMAGES)}': {error}.") from error

    def is_done(self, number: int) -> bool:
        """Whether a part's rows are there."""
        return self.place.has(f"{ROWS}/{self._file(number)}")

    def rows(self, number: int) -> pa.Table:
        """Return the rows of a part that is done. Raises RunError where they cannot be read."""
        name = f"{ROWS}/{self._file(number)}"
        content = self.place.read(name)
        try:
            if content is None:
                raise FileNotFoundError("the file is missing")
            return pq.read_table(io.BytesIO(content))
        except (OSError, pa.ArrowException) as error:
            raise RunError(
                f"Cannot read '{self.place.address_of(name)}': {error}. Remove it to do its part again."
            ) from error

    def write_rows(self, number: int, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
        """Write the rows of a part: from then on it is done. Raises RunError on a full disk."""
        content = io.BytesIO()
        text = [column.name for column in schema if pa.types.is_string(column.type)]
        table = pa.Table.from_pylist(list(rows), schema=schema)
        pq.write_table(table, content, use_dictionary=text)  # numbers hardly repeat
        self.place.write(f"{ROWS}/{self._file(number)}", content.getvalue())

    def _file(self, number: int) -> str:
        """Return the name of a part's rows. A process of an earlier job in this folder writes under other names."""
        return f"{number:08}-{self.digest[:12]}.parquet"

    @cached_property
    def _list(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.place.open(IMAGES))


def _record(place: Place) -> dict[str, Any] | None:
    if (content := place.read(RECORD)) is None:
        return None
    try:
        record = parse_json(content.decode())
        if isinstance(record, dict) and {"request", "images", "digest"} <= record.keys():
            return record
    except ValueError:
        pass
    raise UsageError(f"'{place.address_of(RECORD)}' is damaged: expected the record of a job.", about="other job")


def _check(place: Place, known: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse a job that is not the folder's own, and say in what they differ."""
    asked = json.loads(json.dumps(asked))
    for key in sorted(known.keys() | asked.keys()):
        if known.get(key) != asked.get(key):
            raise UsageError(
                f"'{place.address}' holds another job: expected {key} {_shown(known.get(key))}, "
                f"got {_shown(asked.get(key))}.",
                about="other job",
            )


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _begun(place: Place, asked: Mapping[str, Any], listed: pa.Table) -> dict[str, Any]:
    """Write the list and then the record, so that a folder with a record has its list."""
    content = io.BytesIO()
    pq.write_table(listed, content, row_group_size=asked["part_size"])
    place.write(IMAGES, content.getvalue())
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for image in listed.column(IMAGE).to_pylist():
        digest.update(image.encode() + b"\0")
    record = {"request": dict(asked), "images": listed.num_rows, "digest": digest.hexdigest()}
    place.write(RECORD, (json.dumps(record, indent=2) + "\n").encode())
    return record
