"""A folder of full-HD JPEGs against its bare forward passes, and against CSRNet: python -m benchmarks.speed.folder

    python -m benchmarks.speed.folder --data DIR      # photographs of DIR, enlarged; without it blurred noise
    python -m benchmarks.speed.folder --images 1000   # as many as one would really have

`count_many` reads, decodes, resizes and tiles while the network works. "Bare" is the network alone on the same tiles
in the same batches, kept in memory. CSRNet, with random weights, gets the images as they are resized for ours, one by
one, read before each as a plain loop does; it is slow, so that it gets few of them.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.pages import parser
from benchmarks.speed.counting import csrnet
from benchmarks.speed.pairs import Result, Spread, alternate, infer
from benchmarks.speed.table import write_row
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.counting.counter import Counter, load
from sam_mprompt.geometry import resize_image
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

FULL_HD = (1080, 1920)
_COUNTERS = {"shb-scratch": "shb-scratch", "sam-tiny": "shb-tiny-prompt"}
_WATCHED, _BATCH = 8, 4


def photographs(folder: Path, number: int, size: tuple[int, int], data: Path | None = None) -> list[Path]:
    """Write JPEGs of a size: the data's photographs enlarged, or blurred noise."""
    real = sorted(data.rglob("*.jpg"))[:number] if data else []
    generator = np.random.default_rng(0)
    paths = []
    for index in range(number):
        if real:
            image = cv2.imread(str(real[index % len(real)]))
        else:
            image = generator.integers(0, 255, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
        paths.append(folder / f"{index:04d}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC))
    return paths


class Watched:
    """Keeps the tiles that a counter gives to its network."""

    def __init__(self, counter: Counter, tiles: list[np.ndarray]) -> None:
        self.backend, self.tiles = counter.ready("default").backend, tiles
        self.plain: Callable[..., np.ndarray] = self.backend.density

    def __enter__(self) -> None:
        def density(batch: np.ndarray) -> np.ndarray:
            self.tiles.append(batch.copy())
            return self.plain(batch)

        self.backend.density = density  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        del self.backend.density


def opened(recipe_name: str, folder: Path) -> Counter:
    """Return a counter of a recipe with random heads, on the CPU."""
    recipe = load_recipe(recipe_name)
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    AdapterFolder.of(folder, built, recipe, metrics={}).write()
    return load(folder, device="cpu")


def rows(name: str, counter: Counter, paths: list[Path], rounds: int = 3, few: int = 2) -> list[Result]:
    """Compare one counter on a folder with the network alone and with CSRNet."""
    tiles: list[np.ndarray] = []
    watched = paths[:_WATCHED]
    with Watched(counter, tiles):
        list(counter.count_many(watched, batch_size=_BATCH))
    theirs, geometry, backend = csrnet(), counter.folder.geometry, counter.ready("default").backend

    def folder() -> None:
        assert len(list(counter.count_many(paths, batch_size=_BATCH))) == len(paths)

    def bare() -> None:
        for batch in tiles:
            backend.density(batch)

    def loop() -> None:
        for path in paths[:few]:
            pixels, _ = resize_image(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), geometry)
            infer(theirs, torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)

    seconds = alternate({"folder": folder, "bare": bare, "CSRNet": loop}, rounds=rounds)
    ours = [time / len(paths) for time in seconds["folder"]]
    height, width = FULL_HD
    what = f"a folder of {len(paths)} JPEGs of {width}x{height}, {name}"
    rate = f"{1 / min(ours):.1f} images/s in the best round, {torch.get_num_threads()} threads"
    alone = Spread.of([time / len(watched) for time in seconds["bare"]], ours)
    against = Spread.of([time / len(paths[:few]) for time in seconds["CSRNet"]], ours)
    return [
        Result(what, "its bare forward passes", alone, aim=0.95, note=f"{rate}; decoding has no core of its own"),
        Result(what, "a loop over CSRNet", against, aim=10.0),
    ]


def main() -> None:
    """Measure both counters."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, help="a folder of photographs")
    arguments.add_argument("--images", type=int, default=48)
    options = arguments.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        (folder / "images").mkdir()
        paths = photographs(folder / "images", options.images, FULL_HD, options.data)
        for name, recipe in _COUNTERS.items():
            results += rows(name, opened(recipe, folder / name), paths)
    write_row("folder", results)


if __name__ == "__main__":
    main()
