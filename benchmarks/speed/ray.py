"""Counting with Ray against one process, and two actors against one: python -m benchmarks.speed.ray

The bundled demo adapter counts copies of its examples, each process with one thread. Ray's rate is that from the end of
the first part to the end of the last one; how long it takes until then is in the note.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.speed.pairs import Result, Spread
from benchmarks.speed.table import write_row

_ADAPTER = "adapters/demo"
_PART_SIZE = 4


@dataclass(frozen=True)
class Rate:
    """Seconds until something is counted, and seconds an image from then on."""

    start: float
    an_image: float

    @classmethod
    def of(cls, started: float, told: Sequence[tuple[float, int]]) -> "Rate":
        """Return the rate of a job that told at which times how many images were done."""
        (first, few), (last, every) = told[0], told[-1]
        return cls(first - started, (last - first) / (every - few))


def copies(folder: Path, number: int) -> list[str]:
    """Copy the adapter's examples so often that there are so many images."""
    examples = sorted(Path(_ADAPTER, "examples").glob("*.jpg"))
    folder.mkdir()
    made = [folder / f"{index:05}.jpg" for index in range(number)]
    for index, path in enumerate(made):
        shutil.copy(examples[index % len(examples)], path)
    return [str(path) for path in made]


def here(images: Sequence[str]) -> Rate:
    """Count in this process, as `count` does."""
    from sam_mprompt.counting.counted import counted
    from sam_mprompt.deploy.load import load

    started = time.perf_counter()
    counter = load(_ADAPTER, device="cpu")
    results = counted(counter, [Path(image) for image in images], batch_size=1, on_error=print)
    return Rate.of(started, [(time.perf_counter(), number) for number, _ in enumerate(results, start=1)])


def with_ray(images: Sequence[str], actors: int) -> Rate:
    """Count in processes of Ray, as `count --engine ray` does."""
    import pyarrow as pa

    from sam_mprompt.distributed.counting import Counting, HowToCount
    from sam_mprompt.distributed.job import IMAGE, Job
    from sam_mprompt.distributed.passes import work_through
    from sam_mprompt.distributed.place import Place

    how = HowToCount((str(Path(_ADAPTER).absolute()),))
    request = how.request()
    told: list[tuple[float, int]] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        job = Job.open(Place(folder), request, lambda: pa.table({IMAGE: list(images)}), part_size=_PART_SIZE)
        work_through(
            job,
            partial(Counting, how, request["fingerprints"], "cpu"),
            actors=actors,
            address=None,
            gpu=False,
            on_part=lambda done, _: told.append((time.perf_counter(), done)),
        )
    return Rate.of(started, told)


def measure(images: int = 48, rounds: int = 3) -> list[Result]:
    """Measure rounds of one process, one actor and two."""
    found: dict[str, list[Rate]] = {"here": [], "one": [], "two": []}
    with tempfile.TemporaryDirectory() as folder:
        made = copies(Path(folder, "images"), images)
        ways: dict[str, Callable[[], Rate]] = {
            "here": partial(here, made), "one": partial(with_ray, made, 1), "two": partial(with_ray, made, 2)
        }  # fmt: skip
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(way())
    seconds = {name: [rate.an_image for rate in rates] for name, rates in found.items()}
    start = {name: median(rate.start for rate in rates) for name, rates in found.items()}
    note = (
        f"The first images are done after {start['one']:.0f} s with Ray, {start['here']:.1f} s without; then one takes "
        f"{1000 * median(seconds['one']):.0f} ms of an actor and {1000 * median(seconds['here']):.0f} ms without Ray."
    )
    size = f"counting {images} images of 672x448"
    return [
        Result(f"{size}, one actor of Ray", "one process", Spread.of(seconds["here"], seconds["one"]), note=note),
        Result(f"{size}, two actors of Ray", "one actor", Spread.of(seconds["one"], seconds["two"])),
    ]


if __name__ == "__main__":
    write_row("ray", measure())
