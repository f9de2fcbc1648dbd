"""All that the page holds, and what it does: count, save, train. Answers are JSON-ready values."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from ..counting.region import Region
from ..counting.regions import Regions
from ..counting.result import OF_PARTS, CountResult
from ..errors import RunError, UsageError
from ..memory import memory_fault
from ..planning.minutes import checked_minutes
from ..serve.loading import Load, Served
from ..serve.problems import Problem
from ..serve.warned import Warned
from ..version import __version__
from .adapters import Adapters
from .asked import CountAsked, TrainAsked
from .datasets import FORMAT, Datasets, checked
from .films import Film, Films
from .heat import heat_of
from .learner import Lesson
from .limits import PageLimits
from .photos import Photo, Photos, picture_of
from .training import Trainings

_T = TypeVar("_T")
_ENDING = 60.0


@dataclass(frozen=True)
class Settings:
    """What the page was started with.

    Attributes:
        workspace: folder of its datasets and trainings.
        examples: photographs to try it with, by name.
        base: the base that adapters were put on, where that is not the recorded one.
        overrides: `KEY=VALUE` of every recipe that it trains.
    """

    workspace: Path
    examples: Mapping[str, Path]
    base: str | None = None
    overrides: tuple[str, ...] = ()


class Page:
    """The page behind the addresses.

    Args:
        given: adapters to choose from.
        load: how further ones are loaded.
        settings: folders and the like.
        limits: what is taken at most.
    """

    def __init__(self, given: Mapping[str, Served], load: Load, settings: Settings, limits: PageLimits) -> None:
        self.settings, self.limits = settings, limits
        self.photos, self.warned = Photos(limits), Warned()
        self.datasets = Datasets(settings.workspace / "datasets")
        self.trainings = Trainings(settings.workspace / "runs", self._trained)
        self.adapters = Adapters(given, self.trainings, load)
        self._turns = ThreadPoolExecutor(1, "sam-mprompt-count")
        self._aside = ThreadPoolExecutor(4, "sam-mprompt-page")
        self.films = Films(self._turns, limits.frames)
        self._waiting = 0

    @contextmanager
    def running(self) -> Iterator["Page"]:
        """Answer while the block runs; a training that runs in its end saves its state."""
        with self.warned.listening():
            try:
                yield self
            finally:
                self.films.close()
                self.trainings.close(_ENDING)
                self._turns.shutdown(wait=False, cancel_futures=True)
                self._aside.shutdown(wait=False, cancel_futures=True)
                self.photos.close()

    async def aside(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run what takes a while in a thread. Raises Problem where it cannot be done."""
        with told():
            return await asyncio.wrap_future(self._aside.submit(function, *arguments))

    async def in_turn(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run something in the thread that counts. Raises Problem where too many wait, or where it cannot be done."""
        if self._waiting >= self.limits.waiting:
            raise Problem.later(
                429, "busy", f"Busy: {self._waiting} photographs wait to be counted. Try again soon.", 5
            )
        self._waiting += 1
        try:
            with told():
                return await asyncio.wrap_future(self._turns.submit(function, *arguments))
        finally:
            self._waiting -= 1

    def state(self) -> dict[str, Any]:
        """Return what the page shows before anything is opened."""
        return {
            "version": __version__,
            "adapters": [
                {
                    "name": choice.name,
                    "trained": choice.trained,
                    "calibrated_on": None if choice.loaded is None else choice.loaded.calibration.images,
                }
                for choice in self.adapters.all()
            ],
            "examples": list(self.settings.examples),
            "datasets": [asdict(one) for one in self.datasets.all()],
            "runs": [asdict(run) for run in self.trainings.all()],
            "training": self.trainings.progress.as_dict(),
            "limits": {
                "photo_bytes": self.limits.shared.max_bytes,
                "video_bytes": self.limits.max_video_bytes,
                "pixels": self.limits.shared.max_pixels,
            },
        }

    async def opened(self, name: str, content: bytes) -> dict[str, Any]:
        """Take a photograph."""
        photo = await self.aside(self.photos.add, name, content)
        height, width = photo.size
        return {"id": photo.id, "name": photo.name, "width": width, "height": height}

    async def example(self, name: str) -> dict[str, Any]:
        """Open an example."""
        path = self.settings.examples.get(name)
        if path is None:
            raise Problem(404, "no-such-example", f"No example '{name:.64}'.")
        return await self.opened(path.name, await self.aside(path.read_bytes))

    async def open_saved(self, dataset: str, file: str) -> dict[str, Any]:
        """Open a photograph of a dataset, with its heads."""
        content, points = await self.aside(self.datasets.open, dataset, file)
        return {**await self.opened(file, content), "points": points, "dataset": dataset}

    async def picture(self, number: str) -> bytes:
        """Return a photograph as a JPEG."""
        with self.photos.using(number) as photo:
            return await self.aside(picture_of, photo, self.limits)

    async def count(self, number: str, asked: CountAsked) -> dict[str, Any]:
        """Count a photograph, or take what it was counted as before."""
        with self.photos.using(number) as photo:
            return await self.in_turn(self._counted, photo, asked)

    async def save(self, dataset: str, number: str, points: list[tuple[float, float]]) -> dict[str, Any]:
        """Save a photograph with its heads."""
        with self.photos.using(number) as photo:
            content = await self.aside(photo.content)
            file = await self.aside(self.datasets.save, dataset, photo.name, content, points, photo.size)
        return {"dataset": dataset, "file": file, "heads": len(points)}

    async def compare(self, dataset: str, file: str, names: list[str]) -> dict[str, Any]:
        """Count a photograph of a dataset with adapters, beside the heads that were saved."""
        content, points = await self.aside(self.datasets.open, dataset, file)
        photo = await self.aside(Photos(self.limits).add, file, content)
        try:
            counts = [(await self.in_turn(self._result, photo, name)).count for name in names]
        finally:
            photo.image.release()
        return {"file": file, "heads": len(points), "counts": counts}

    async def video(self, name: str, adapter: str, every: str, chunks: AsyncIterator[bytes]) -> dict[str, Any]:
        """Take a video and begin to count it."""
        film = await self.films.receive(uuid4().hex, name, chunks, self.limits.max_video_bytes)
        self.films.count(film, lambda: self._frames(film, adapter, every))
        return film.as_dict(0)

    def train(self, asked: TrainAsked) -> dict[str, Any]:
        """Begin to train on a dataset."""
        with told():
            if all(one.name != asked.dataset for one in self.datasets.all()):
                raise UsageError(f"No dataset '{asked.dataset:.80}': save a photograph first.")
            name = self._free(asked.name or asked.dataset)
            lesson = Lesson(
                data=str(self.datasets.path(asked.dataset).resolve()),
                format=FORMAT,
                run=str((self.trainings.root / name).resolve()),
                start=self._start(asked.start),
                base=self.settings.base if asked.start else None,
                minutes=checked_minutes(asked.minutes),
                overrides=self.settings.overrides,
            )
            self.trainings.start(lesson, asked.dataset)
        return self.trainings.progress.as_dict()

    def resume(self, name: str) -> dict[str, Any]:
        """Go on with a training that was stopped."""
        with told():
            self.trainings.resume(name, lambda dataset: self.datasets.path(dataset).resolve())
        return self.trainings.progress.as_dict()

    def _start(self, adapter: str | None) -> str:
        if not adapter:
            return ""
        source = self.adapters.source(adapter)
        if Path(source).is_file():
            raise UsageError(f"'{adapter}' is an exported file, which counts only: start from an adapter's folder.")
        return str(Path(source).resolve()) if Path(source).exists() else source

    def _free(self, wanted: str) -> str:
        """Return a name for a training that nothing has yet."""
        stem, number = checked(wanted, "training"), 1
        name = stem
        while (self.trainings.root / name).exists() or self.adapters.is_taken(name):
            number += 1
            name = f"{stem[:60]}-{number}"
        return name

    def _trained(self, name: str) -> None:
        self.adapters.forget(name)
        self.photos.forget_results(name)

    def _result(self, photo: Photo, adapter: str) -> CountResult:
        if adapter not in photo.results:
            served = self.adapters.get(adapter)
            with self.warned.about(photo.image.path) as heard:
                try:
                    (result,) = served.counter.count_many([photo.image.path], adapter=served.inner)
                except UsageError as error:
                    raise UsageError(photo.unnamed(error)) from error
            told_of = tuple(dict.fromkeys([*result.warnings, *map(photo.unnamed, heard)]))
            photo.results[adapter] = replace(result, image=Path(photo.name), warnings=told_of)
        return photo.results[adapter]

    def _counted(self, photo: Photo, asked: CountAsked) -> dict[str, Any]:
        result = self._result(photo, asked.adapter)
        parts, count, why = None, result.count, result.why_no_interval(asked.level)
        points, heard = result.points(), list[str]()
        if asked.regions:
            regions = Regions(
                Region.around(one.name, one.corners, ignore=one.ignore, area_m2=one.area_m2) for one in asked.regions
            )
            with self.warned.here() as heard:
                counts = result.regions(regions)
            parts, count = counts.as_dict(), counts.total
            why = OF_PARTS if regions.ignores else why
        interval = None if why is not None else result.interval(asked.level)
        rows, columns = result.density.shape
        return {
            "adapter": asked.adapter,
            "count": count,
            "interval": None if interval is None else vars(interval),
            "why_no_interval": why if why is None else _plain(why, asked.adapter),
            "warnings": [*result.warnings, *map(photo.unnamed, heard)],
            "points": np.round(points.astype(np.float64), 2).tolist(),
            "regions": parts,
            "heat": {
                "png": base64.b64encode(heat_of(result.density)).decode("ascii"),
                "width": columns * result.cell[0],
                "height": rows * result.cell[1],
            },
        }

    def _frames(self, film: Film, adapter: str, every: str) -> Any:
        served: Any = self.adapters.get(adapter)
        frames = served.counter.count_video(
            film.path, every=every, adapter=served.inner, notice=lambda line: setattr(film, "line", line)
        )
        film.length = _length(film, served)
        return frames


def _length(film: Film, served: Served) -> float | None:
    from ..counting.video.source import open_video

    video = open_video(film.path, reading=served.reading)
    try:
        return video.length
    finally:
        video.close()


def _plain(why: str, adapter: str) -> str:
    """Return why there is no interval without where on this machine the adapter lies."""
    if not why.startswith("'"):
        return why
    return f"'{adapter}'{why[why.index(chr(39), 1) + 1 :]}"


@contextmanager
def told() -> Iterator[None]:
    """Turn what cannot be done into a problem of one sentence."""
    try:
        yield
    except UsageError as error:
        kind = "too-many-pixels" if error.about == "too many pixels" else "unusable"
        raise Problem(422, kind, str(error)) from error
    except OSError as error:
        raise Problem(507, "disk", f"Cannot read or write a file: {error.strerror}.") from error
    except (MemoryError, RuntimeError) as error:
        if memory_fault(error):
            raise Problem.later(503, "memory", "The memory was not enough for this photograph now.", 5) from error
        if isinstance(error, RunError):
            raise Problem(507, "disk", str(error)) from error
        raise
