"""How time and memory grow: python -m benchmarks.speed.scaling writes scaling.md and docs/scaling.png

Every row is relative to its first column, so that a straight line reads 1, 2, 4, 8. Procedural images, the bundled
sam-tiny and demo adapter; times are the best of some rounds that go through all columns in turn. Figures are kept in
records/scaling.json, of which `--page` makes page and picture anew.
"""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import sam_mprompt
from benchmarks.pages import PAGES, RECORDS, parser, table, write_page
from benchmarks.speed.demo import count_tiles, demo, noise
from benchmarks.speed.loading import crops_of, epoch
from benchmarks.speed.pairs import alternate, in_fresh_process, infer, peak_rise, this_machine
from benchmarks.speed.targets import annotated, crop_targets, scattered
from sam_mprompt.data.scenes.crowd import write_dataset
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.targets import context_radius

Rows = Mapping[str, Sequence[float]]
Part = tuple[Mapping[str, float], Rows]
"""What grows, by the name of each column, and the rows that were measured over it."""

FILE, PICTURE = RECORDS / "scaling.json", PAGES.parent / "docs" / "scaling.png"

_TITLES = ("megapixels", "heads", "tiles in a batch", "adapters", "workers")
_AREAS = {"1 Mpx": (1024, 1024), "2": (1024, 2048), "4": (2048, 2048), "8": (2048, 4096), "16": (4096, 4096)}
_HEADS = {"1,000 heads": 1000, "2,000": 2000, "4,000": 4000, "8,000": 8000, "16,000": 16000}
_BATCHES = {f"batch {n}" if n == 1 else str(n): n for n in (1, 2, 4, 8)}
_ADAPTERS = {"1 loaded": 1, "2": 2, "4": 4, "8": 8, "16": 16}
_WORKERS = {f"{n} workers" if n == 0 else str(n): n for n in (0, 1, 2)}
_HEAD = """# Scaling

Written by `python -m benchmarks.speed.scaling`; do not edit. Measured on {machine} ({cores} cores). Each
row is relative to its first column. The exponent is that of the power of the columns that fits a row best, by least
squares of the logarithms: 1 is a straight line, 0 does not grow.
"""
_SHOWN = (
    "![Time and memory against pixels, heads, batch, adapters and workers, with fitted exponents](../docs/scaling.png)"
)


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


def exponent(columns: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the power of the columns that fits the values best; None where a column is zero."""
    if min(columns) <= 0:
        return None
    return float(np.polyfit(np.log(columns), np.log(values), 1)[0])


def relative(columns: Mapping[str, float], rows: Rows) -> str:
    """Return a table of rows over the same columns, each relative to its first value, with its exponent."""
    cells = []
    for what, values in rows.items():
        power = exponent(list(columns.values()), values)
        shown = "" if power is None else f"{power:.2f}"
        cells.append([what, *(f"{value / values[0]:.2f}" for value in values), shown])
    return table(["", *columns, "exponent"], cells)


def draw(parts: Mapping[str, Part], path: Path) -> None:
    """Draw every part as a plot over logarithms. Needs matplotlib, an optional dependency."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(parts), 3.3), dpi=110)
    for axes, (title, (columns, rows)) in zip(figure.subplots(1, len(parts)), parts.items(), strict=True):
        places = list(columns.values())
        for (what, values), marker in zip(rows.items(), "os^v", strict=False):
            power = exponent(places, values)
            label = what if power is None else f"{what}: {power:.2f}"
            axes.plot(places, [value / values[0] for value in values], marker=marker, label=label)
        if min(places) > 0:
            axes.plot(places, [place / places[0] for place in places], ":", color="grey", label="a straight line: 1")
            axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(places, [f"{place:,.0f}" for place in places])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(title)
        axes.legend(frameon=False, fontsize=6, loc="upper left")
        axes.margins(y=0.35)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    figure.axes[0].set_ylabel("relative to the first")
    figure.tight_layout()
    figure.savefig(path)


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


def measured() -> dict[str, Part]:
    """Measure everything."""
    megapixels = {name: height * width / 2**20 for name, (height, width) in _AREAS.items()}
    columns = (megapixels, _HEADS, _BATCHES, _ADAPTERS, _WORKERS)
    rows = (areas(_AREAS), heads(_HEADS), batches(_BATCHES), adapters(_ADAPTERS), workers(_WORKERS))
    return dict(zip(_TITLES, zip(columns, rows, strict=True), strict=True))


def write(record: Mapping[str, object], parts: Mapping[str, Part]) -> None:
    """Write the page."""
    head = _HEAD.format(machine=record["machine"], cores=record["cores"])
    write_page("scaling", head, _SHOWN, *(relative(*part) for part in parts.values()))


def main() -> None:
    """Measure, unless the page alone is asked for, and write."""
    arguments = parser(__doc__)
    arguments.add_argument("--page", action="store_true", help="make page and picture of what was measured before")
    if not arguments.parse_args().page:
        record = {"machine": this_machine(), "cores": os.cpu_count(), "parts": measured()}
        FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(FILE.read_text(encoding="utf-8"))
    write(record, record["parts"])
    draw(record["parts"], PICTURE)


if __name__ == "__main__":
    main()
