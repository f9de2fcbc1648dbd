"""How time and memory grow: python -m benchmarks.scaling writes benchmarks/scaling.md

Every row is relative to its first column, so that a straight line reads 1, 2, 4, 8. Procedural images, the bundled
sam-tiny and demo adapter; times are the best of some rounds that go through all columns in turn.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

import sam_mprompt
from benchmarks.pairs import alternate, in_fresh_process, peak_bytes, this_machine
from sam_mprompt.counting.predict import predict_density
from sam_mprompt.data.augment import AnnotatedImage
from sam_mprompt.data.dataset import CropDataset, EpochBatches, collate, frame_targets
from sam_mprompt.data.scenes.crowd import write_dataset
from sam_mprompt.data.sources import open_split
from sam_mprompt.geometry import Geometry
from sam_mprompt.recipe.schema import TargetRecipe, load_recipe
from sam_mprompt.targets import context_radius

_AREAS = {"1 Mpx": (1024, 1024), "2": (1024, 2048), "4": (2048, 2048), "8": (2048, 4096), "16": (4096, 4096)}
_GEOMETRY = Geometry(max_side=20_000, min_side=224, tile=896, overlap=112)
_HEADS = {"1,000 heads": 1000, "2,000": 2000, "4,000": 4000, "8,000": 8000, "16,000": 16000}
_BATCHES = {f"batch {n}" if n == 1 else str(n): n for n in (1, 2, 4, 8)}
_ADAPTERS = {"1 loaded": 1, "2": 2, "4": 4, "8": 8, "16": 16}
_WORKERS = {f"{n} workers" if n == 0 else str(n): n for n in (0, 1, 2)}
_HEAD = """# Scaling

Written by `python -m benchmarks.scaling`; do not edit. Measured on {machine} ({cores} cores). Each row is relative to
its first column.

"""


def image(height: int, width: int) -> np.ndarray:
    """Return noise: what is in an image changes neither time nor memory."""
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def count_peak(height: int, width: int) -> int:
    """Return the bytes by which counting rises above model and image, in this process, which must be new."""
    counter, pixels = sam_mprompt.load("adapters/demo", device="cpu"), image(height, width)
    before = peak_bytes()
    predict_density(counter.model, pixels, _GEOMETRY, device="cpu")
    return peak_bytes() - before


def encode_peak(batch: int) -> int:
    """Return the bytes by which encoding a batch of tiles rises above the model, in this process, which must be new."""
    counter, images = sam_mprompt.load("adapters/demo", device="cpu"), torch.zeros(batch, 3, 448, 448)
    before = peak_bytes()
    with torch.inference_mode():
        counter.model(images)
    return peak_bytes() - before


def with_adapters(number: int) -> sam_mprompt.Counter:
    """Return a counter with several adapters on its base."""
    counter = sam_mprompt.load("adapters/demo", device="cpu")
    for index in range(1, number):
        counter.load_adapter("adapters/demo", name=f"adapter-{index}")
    return counter


def adapters_size(number: int) -> int:
    """Return the bytes of all weights with several adapters on one base."""
    counter = with_adapters(number)
    models = [loaded.model for loaded in counter._loaded.values()]
    return sum({p.data_ptr(): p.nbytes for model in models for p in model.parameters()}.values())


def crop_targets(points: np.ndarray) -> None:
    """Make a crop's targets, after the image's radii."""
    whole = AnnotatedImage(np.zeros((2048, 3072, 3), np.uint8), points, context_radius(points, k=3), None)
    cut = whole.moved(whole.image[600:1000, 900:1300], (1.0, 1.0), (900, 600))
    frame_targets(cut, TargetRecipe(point_dilation=8), stride=1)


def epoch(dataset: CropDataset, workers: int) -> None:
    """Go through an epoch's batches, the start of the workers included."""
    batches = EpochBatches(len(dataset), 8, seed=0)
    for _ in DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers):  # type: ignore[arg-type]
        pass


def growth(steps: Mapping[str, Callable[[], object]], rounds: int = 3) -> list[float]:
    """Return the best time of each step."""
    return [min(seconds) for seconds in alternate(steps, rounds=rounds).values()]


def row(what: str, values: Sequence[float]) -> str:
    """Return a line of a table, relative to its first value."""
    return f"| {what} | " + " | ".join(f"{value / values[0]:.2f}" for value in values) + " |"


def table(names: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    """Return a table of rows over the same columns."""
    lines = ["|  | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    return "\n".join(lines + [row(what, values) for what, values in rows.items()]) + "\n"


def main() -> None:
    """Measure and write."""
    counter = sam_mprompt.load("adapters/demo", device="cpu")
    count = partial(predict_density, counter.model, geometry=_GEOMETRY, device="cpu")
    tables = [
        table(
            list(_AREAS),
            {
                "counting, time": growth({name: partial(count, image(*size)) for name, size in _AREAS.items()}, 2),
                "counting, memory above model and image": [in_fresh_process(count_peak, *s) for s in _AREAS.values()],
            },
        )
    ]
    rng = np.random.default_rng(0)
    points = {name: rng.uniform((0, 0), (3072, 2048), (n, 2)).astype(np.float32) for name, n in _HEADS.items()}
    tables.append(
        table(
            list(_HEADS),
            {
                "context radii, once an image": growth(
                    {name: partial(context_radius, p, k=3) for name, p in points.items()}
                ),
                "these and one crop's targets": growth({name: partial(crop_targets, p) for name, p in points.items()}),
            },
        )
    )
    tiles = {name: torch.zeros(n, 3, 448, 448) for name, n in _BATCHES.items()}
    with torch.inference_mode():
        seconds = growth({name: partial(counter.model, batch) for name, batch in tiles.items()})
    tables.append(
        table(
            list(_BATCHES),
            {
                "one forward pass, 448 px tiles": seconds,
                "its memory above the model": [in_fresh_process(encode_peak, n) for n in _BATCHES.values()],
            },
        )
    )
    counters = {name: with_adapters(n) for name, n in _ADAPTERS.items()}
    small = image(448, 448)
    tables.append(
        table(
            list(_ADAPTERS),
            {
                "counting, time": growth({name: partial(c.count, small) for name, c in counters.items()}, 5),
                "weights in memory": [adapters_size(n) for n in _ADAPTERS.values()],
            },
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root / "data", seed=0, splits={"train": 48, "val": 1}, size=(768, 1024))
        recipe = load_recipe("shb-tiny-prompt", ["data.format=points", "data.cache=images", f"data.cache_root={root}"])
        source = open_split(recipe, "train", root / "data").source
        dataset = CropDataset(source, recipe, stride=8, pad_colour=(124, 116, 104))
        seconds = growth({name: partial(epoch, dataset, n) for name, n in _WORKERS.items()})
    tables.append(table(list(_WORKERS), {"loading 48 crops, without a model": seconds}))
    head = _HEAD.format(machine=this_machine(), cores=os.cpu_count())
    Path(__file__).with_name("scaling.md").write_text(head + "\n".join(tables), encoding="utf-8")
    print("\n".join(tables))


if __name__ == "__main__":
    main()
