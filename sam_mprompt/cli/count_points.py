"""Where people are, as `count --points` writes it: the head points of every image, for the tool that corrects them."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, did_you_mean
from ..files import appending, check_output, is_stream, recover, write_text, write_with
from ..shown import csv_cell, csv_line

if TYPE_CHECKING:
    from ..arrays import FloatArray
    from ..counting.result import CountResult
    from ..data.formats.tools.family import Content, Family, Picture

_BY_SUFFIX = {".csv": "csv", ".json": "json", ".geojson": "geojson", ".xml": "cvat"}


class HeadPoints:
    """A file, or a folder with a file for each image, that head points go to.

    Args:
        path: what `--points` names.
        given: what `--points-format` names, None for what the suffix says.
        images: all that are counted.
        counted: where an earlier count is gone on with, the images that it has done, whose points `path` holds.
        located: where the heads of a result are; all of its points when not given.

    Raises:
        UsageError: a format that is none, or that cannot be gone on with; a path that cannot be written or holds
            something; images that would share a name.
    """

    def __init__(
        self,
        path: Path,
        given: str | None,
        images: Sequence[Path],
        counted: Sequence[Path] | None,
        *,
        located: "Callable[[CountResult], FloatArray] | None" = None,
    ) -> None:
        self.located: Callable[[CountResult], FloatArray] = located or methodcaller("points")
        self.path, self.family = path, _family(path, given)
        self.each = self.family.read_many is None
        if str(path) == "-":
            raise UsageError("--points: expected a file or a folder; the counts are printed on standard output.")
        check_output(path, "folder" if self.each else "file")
        self.resumed = counted is not None
        if self.resumed and self.family.name != "csv":
            raise UsageError(f"--resume-csv goes on with points as csv, not as {self.family.name}.")
        self.names = _names(images, self.family)
        self.done = {csv_cell(self.names[image]) for image in counted or ()}
        self._check_empty(images)

    def _check_empty(self, images: Sequence[Path]) -> None:
        """Refuse what holds something: somebody may have corrected it by hand."""
        targets = [self.path]
        if self.each:
            content = self._content([_picture(image, self.names[image], (1, 1), self.path) for image in images])
            targets = [self.path / place for place in content]
        taken = next((file for file in targets if file.is_file() and file.stat().st_size), None)
        if taken is not None and not self.resumed:
            raise UsageError(
                f"'{taken}' is there already: expected a new file for head points, for somebody may have corrected "
                "the old one. Move it away, or name another."
            )

    @contextmanager
    def writing(self) -> "Iterator[Callable[[CountResult], None]]":
        """Yield what takes a result; csv is written at once, all else in the end, also where that is an error's."""
        if self.family.name == "csv":
            with self._streaming() as take:
                yield take
            return
        pictures: list[Picture] = []

        def keep(result: "CountResult") -> None:
            if result.image is not None:
                picture = _picture(result.image, self.names[result.image], result.image_size, self._folder)
                pictures.append(_with_points(picture, self.located(result)))

        try:
            yield keep
        finally:
            if pictures:
                self._write(self._content(pictures))

    @property
    def _folder(self) -> Path:
        return self.path if self.each else self.path.parent

    @contextmanager
    def _streaming(self) -> "Iterator[Callable[[CountResult], None]]":
        from ..data.formats.tools.own_files import CSV_HEADER, csv_rows

        begun = self.resumed and self._only_done()
        with appending(self.path, keep=begun) as add:
            if not begun:
                add(csv_line(CSV_HEADER))

            def written(result: "CountResult") -> None:
                if result.image is not None:
                    add(csv_rows(self.names[result.image], self.located(result).tolist()))

            yield written

    def _only_done(self) -> bool:
        """Leave only the points of images that an earlier count finished; return whether there are any."""
        recover(self.path)
        if is_stream(self.path) or not self.path.is_file():
            return False
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == 3 and row[0] in self.done]
        from ..data.formats.tools.own_files import CSV_HEADER

        write_text(self.path, "".join(csv_line(row) for row in (CSV_HEADER, *rows)))
        return True

    def _content(self, pictures: "Sequence[Picture]") -> "Content":
        from ..data.formats.tools.own_files import json_list

        if self.family.name == "json":
            return {self.path.name: json_list(pictures)}
        return self.family.write(pictures) if self.family.write is not None else {}

    def _write(self, content: "Content") -> None:
        for place, text in content.items():
            data = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
            target = self.path / place if self.each else self.path
            write_with(target, methodcaller("write_bytes", data))


def _family(path: Path, given: str | None) -> "Family":
    from ..data.convert import WRITTEN

    known = {name: family for name, family in WRITTEN.items() if not family.boxes_only}
    name = given or _BY_SUFFIX.get(path.suffix.lower(), "")
    if name in known:
        return known[name]
    if given is None:
        raise UsageError(
            f"Cannot tell the format of '{path}' by its name: expected {', '.join(_BY_SUFFIX)}, or one named with "
            f"--points-format: {', '.join(known)}."
        )
    raise UsageError(f"--points-format: expected {', '.join(known)}; received '{given}'.{did_you_mean(given, known)}")


def _names(images: Sequence[Path], family: "Family") -> dict[Path, str]:
    """Return what each image is called in the file: its name, and in a csv its path where two have the same name."""
    from ..data.convert import check_names

    names = {image: image.name for image in images}
    if family.name == "csv":
        unique = len(set(names.values())) == len(names)
        return names if unique else {image: image.as_posix() for image in images}
    check_names([_picture(image, name, (1, 1), image.parent) for image, name in names.items()], family)
    return names


def _picture(image: Path, name: str, size: tuple[int, int], folder: Path) -> "Picture":
    import numpy as np

    from ..data.formats.tools.family import Picture

    reference = Path(os.path.relpath(image, folder)).as_posix()
    return Picture(name, size, np.empty((0, 2)), bytes=image.stat().st_size, reference=reference)


def _with_points(picture: "Picture", points: "FloatArray") -> "Picture":
    from dataclasses import replace

    return replace(picture, points=points.astype("float64"))
