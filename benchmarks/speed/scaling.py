"""How time and memory grow: python -m benchmarks.speed.scaling writes scaling.md

Every row is relative to its first column, so that a straight line reads 1, 2, 4, 8. Procedural images, the bundled
sam-tiny and demo adapter; times are the best of some rounds that go through all columns in turn.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

import sam_mprompt
from benchmarks.pages import table, write_page
from benchmarks.speed.demo import count_tiles, demo, noise
from benchmarks.speed.loading import crops_of, epoch
from benchmarks.speed.pairs import alternate, in_fresh_process, infer, peak_rise, this_machine
from benchmarks.speed.targets import annotated, crop_targets, scattered
from sam_mprompt.data.scenes.crowd import write_dataset
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.targets import context_radius

Rows = Mapping[str, Sequence[float]]

_AREAS = {"1 Mpx": (1024, 1024), "2": (1024, 2048), "4": (2048, 2048), "8": (2048, 4096), "16": (4096, 4096)}
_HEADS = {"1,000 heads": 1000, "2,000": 2000, "4,000": 4000, "8,000": 8000, "16,000": 16000}
_BATCHES = {f"batch {n}" if n == 1 else str(n): n for n in (1, 2, 4, 8)}
_ADAPTERS = {"1 loaded": 1, "2": 2, "4": 4, "8": 8, "16": 16}
_WORKERS = {f"{n} workers" if n == 0 else str(n): n for n in (0, 1, 2)}
_HEAD = """# Scaling

Written by `python -m benchmarks.speed.scaling`; do not edit. Measured on {machine} ({cores} cores). Each
row is relative to its first column.
"""


def count_peak(height: int, width: int) -> int:
    """Return the bytes by which counting rises above model and image, in this process, which must be new."""
    counter, pixels = demo(), noise(height, width)
    return peak_rise(lambda: count_tiles(counter, pixels))


def encode_peak(batch: int) -> int:
    """Return the bytes by which encoding a batch of tiles rises above the model, in this process, which must be new."""
    counter, images = demo(), torch.zeros(batch, 3, 448, 448)
    return peak_rise(lambda: infer(counter.model, images))


def with_adapters(number: int) -> sam_mprompt.Counter:
    """Return a counter with several adapters on its base."""
    counter = demo()
    for index in range(1, number):
        counter.load_adapter("adapters/demo", name=f"adapter-{index}")
    return counter


def adapters_size(number: int) -> int:
    """Return the bytes of all weights with several adapters on one base."""
    counter, sizes = with_adapters(number), dict[int, int]()
    for name in counter.adapters:
        counter.use(name)
        sizes |= {p.data_ptr(): p.nbytes for p in counter.model.parameters()}
    return sum(sizes.values())


def growth(steps: Mapping[str, Callable[[], object]], rounds: int = 3) -> list[float]:
    """Return the best time of each step."""
    return [min(seconds) for seconds in alternate(steps, rounds=rounds).values()]


def relative(names: Sequence[str], rows: Rows) -> str:
    """Return a table of rows over the same columns, each relative to its first value."""
    cells = [[what, *(f"{value / values[0]:.2f}" for value in values)] for what, values in rows.items()]
    return table(["", *names], cells)


def areas(sizes: Mapping[str, tuple[int, int]]) -> Rows:
    """Measure counting over the area of an image."""
    counter = demo()
    steps = {name: partial(count_tiles, counter, noise(*size)) for name, size in sizes.items()}
    return {
        "counting, time": growth(steps, 2),
        "counting, memory above model and image": [in_fresh_process(count_peak, *size) for size in sizes.values()],
    }


def heads(numbers: Mapping[str, int]) -> Rows:
    """Measure targets over the number of heads in an image."""
    points = {name: scattered(number, seed=0) for name, number in numbers.items()}

    def with_radii(name: str) -> None:
        crop_targets(annotated(points[name], context_radius(points[name], k=3)))

    return {
        "context radii, once an image": growth({name: partial(context_radius, p, k=3) for name, p in points.items()}),
        "these and one crop's targets": growth({name: partial(with_radii, name) for name in points}),
    }


def batches(sizes: Mapping[str, int]) -> Rows:
    """Measure a forward pass over the number of tiles in it."""
    model = demo().model
    tiles = {name: torch.zeros(number, 3, 448, 448) for name, number in sizes.items()}
    return {
        "one forward pass, 448 px tiles": growth({name: partial(infer, model, each) for name, each in tiles.items()}),
        "its memory above the model": [in_fresh_process(encode_peak, number) for number in sizes.values()],
    }


def adapters(numbers: Mapping[str, int]) -> Rows:
    """Measure counting over the number of adapters that are loaded."""
    counters, small = {name: with_adapters(number) for name, number in numbers.items()}, noise(448, 448)
    return {
        "counting, time": growth({name: partial(each.count, small) for name, each in counters.items()}, 5),
        "weights in memory": [adapters_size(number) for number in numbers.values()],
    }


def workers(numbers: Mapping[str, int], images: int = 48) -> Rows:
    """Measure the loading of procedural crops over the number of workers."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root / "data", seed=0, splits={"train": images, "val": 1}, size=(768, 1024))
        recipe = load_recipe("shb-tiny-prompt", ["data.format=points", "data.cache=images", f"data.cache_root={root}"])
        crops = crops_of(recipe, root / "data")
        steps = {name: partial(epoch, crops, images, number) for name, number in numbers.items()}
        return {f"loading {images} crops, without a model": growth(steps)}


def main() -> None:
    """Measure and write."""
    tables = [
        relative(list(_AREAS), areas(_AREAS)),
        relative(list(_HEADS), heads(_HEADS)),
        relative(list(_BATCHES), batches(_BATCHES)),
        relative(list(_ADAPTERS), adapters(_ADAPTERS)),
        relative(list(_WORKERS), workers(_WORKERS)),
    ]
    write_page("scaling", _HEAD.format(machine=this_machine(), cores=os.cpu_count()), *tables)
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
