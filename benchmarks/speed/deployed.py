"""Exported files against PyTorch on a CPU: python -m benchmarks.speed.deployed

Three counters on one tile of 448 px: SAM-base with prompt modules and random weights, the demo adapter on sam-tiny,
and `shb-scratch` with random weights. PyTorch eager and compiled, ONNX Runtime in float32, float16 and int8. Counts are
compared on procedural crowds that nothing was calibrated with, memory is the peak of a process that counts one image.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.pairs import Result, Spread, alternate, in_fresh_process, peak_bytes
from benchmarks.speed.table import write_row
from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.data.scenes.crowd import crowd_scene
from sam_mprompt.deploy.export import export
from sam_mprompt.deploy.load import load
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.render import save_image

_TILE = 448
_AIMS = {"int8": 1.7}
_MODELS: Mapping[str, tuple[str, Sequence[str]]] = {
    "SAM-base, random": ("shb", ("model.base=random:vit_b",)),
    "shb-scratch, random": ("shb-scratch", ()),
}
_DTYPES = ("float32", "float16", "int8")


def random_adapter(path: Path, recipe_name: str, overrides: Sequence[str]) -> AdapterFolder:
    """Write an adapter of a recipe with random weights, the same each time."""
    torch.manual_seed(0)
    recipe = load_recipe(recipe_name, overrides)
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    AdapterFolder.of(path, built, recipe, metrics={}).write()
    return AdapterFolder.read(path)


def adapters(root: Path, names: Sequence[str]) -> dict[str, AdapterFolder]:
    """Return the adapters of some models."""
    made = {name: random_adapter(root / name, *_MODELS[name]) for name in names if name in _MODELS}
    if "sam-tiny, demo" in names:
        made["sam-tiny, demo"] = AdapterFolder.read(find_adapter("adapters/demo"))
    return made


def peak_of(adapter: str) -> int:
    """Return the most memory of this process, which must be new, when it has counted one image."""
    load(adapter, device="cpu").count(crowd_scene(7, 0, (_TILE, _TILE)).image)
    return peak_bytes()


def cold_start(adapter: str, image: Path) -> float:
    """Return the seconds that the command takes to count one image, from its start to its end."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "sam_mprompt", "count", adapter, str(image)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def rows_of(name: str, folder: AdapterFolder, root: Path, *, dtypes: Sequence[str], compiled: bool, scenes: int,
            rounds: int) -> list[Result]:  # fmt: skip
    """Measure one model: a row for each way to run it against PyTorch eager."""
    images = [crowd_scene(7, index, (_TILE, _TILE)).image for index in range(scenes)]
    calibration = [crowd_scene(8, index, (_TILE, _TILE)).image for index in range(2 * scenes)]
    photo = root / "crowd.png"
    save_image(photo, images[0])
    places = {"eager": str(folder.path)}
    ways = {"eager": load(folder.path, device="cpu")}
    if compiled:
        ways["compiled"] = load(folder.path, device="cpu", compile=True)
    for dtype in dtypes:
        file = root / f"{name}-{dtype}.onnx"
        export(folder, file, dtype=dtype, tile=_TILE, images=calibration)
        ways[f"ONNX Runtime {dtype}"] = load(file, device="cpu")
        places[f"ONNX Runtime {dtype}"] = str(file)
    steps: dict[str, Callable[[], object]] = {way: partial(each.count, images[0]) for way, each in ways.items()}
    seconds = alternate(steps, rounds=rounds)
    counts = {way: np.array([result.count for result in each.count_many(images)]) for way, each in ways.items()}
    results = []
    for way in list(ways)[1:]:
        off = float(np.abs(counts[way] - counts["eager"]).sum() / max(counts["eager"].sum(), 1.0))
        note = f"counts differ by {100 * off:.3f} % on {scenes} procedural crowds"
        if way in places:
            memory, other = (in_fresh_process(peak_of, places[one]) / 1e6 for one in (way, "eager"))
            start, slow = (cold_start(places[one], photo) for one in (way, "eager"))
            note += f"; {memory:.0f} MB against {other:.0f}; `count` of one image {start:.1f} s against {slow:.1f}"
        aim = next((aim for dtype, aim in _AIMS.items() if dtype in way), 1.3)
        spread = Spread.of(seconds["eager"], seconds[way])
        results.append(Result(f"{way}, {name}, {_TILE} px", "PyTorch eager", spread, aim=aim, note=note))
    return results


def measure(
    names: Sequence[str] = ("SAM-base, random", "sam-tiny, demo", "shb-scratch, random"),
    *,
    dtypes: Sequence[str] = _DTYPES,
    compiled: bool = True,
    scenes: int = 12,
    rounds: int = 5,
) -> list[Result]:
    """Measure some models."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        return [
            row
            for name, adapter in adapters(root, names).items()
            for row in rows_of(name, adapter, root, dtypes=dtypes, compiled=compiled, scenes=scenes, rounds=rounds)
        ]


if __name__ == "__main__":
    write_row("deployed", measure())
