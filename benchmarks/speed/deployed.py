"""Exported files against PyTorch on a CPU: python -m benchmarks.speed.deployed

Four counters on one tile of 448 px: SAM-base with prompt modules and random weights, the demo adapter on sam-tiny,
`shb-scratch` with random weights, and `street`, EfficientNet-Lite0 as it was trained. PyTorch eager and compiled, ONNX
Runtime and OpenVINO in float32, float16 and int8, and OpenVINO in bfloat16 where the CPU has it. Counts are compared on
procedural crowds that nothing was calibrated with; those of random weights say little, and those of `street` differ in
float32 already, as it sees the edges that fill its smaller images up to the tile. Beside them what the command `count`
takes for one image, from its start to its end.

Each model's rows are kept as soon as it is measured, so that a long measurement goes on with the models that it names:
python -m benchmarks.speed.deployed "sam-tiny, demo". On one core time is the processor's, which neighbours on the
other cores change little.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import read_row, record_of, write_row
from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.arrays import ByteImage
from sam_mprompt.data.bounds import Reading
from sam_mprompt.data.scenes.crowd import crowd_scene
from sam_mprompt.deploy.export import export
from sam_mprompt.deploy.load import load
from sam_mprompt.deploy.narrow import in_float16
from sam_mprompt.deploy.onnx_files import write_onnx
from sam_mprompt.deploy.openvino_backend import computes_bfloat16
from sam_mprompt.deploy.openvino_files import openvino_network, write_openvino
from sam_mprompt.deploy.quantise import in_int8
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.render import save_image

_TILE = 448
_INT8_AIM, _FLOAT_AIM, _WITHOUT_AIM = 1.7, 1.3, "SAM-base, random"
"""For each int8 file, for the fastest other one of a model, and the model whose fastest one has none."""
_RANDOM: Mapping[str, tuple[str, Sequence[str]]] = {
    "SAM-base, random": ("shb", ("model.base=random:vit_b",)),
    "shb-scratch, random": ("shb-scratch", ()),
}
_SHIPPED: Mapping[str, str] = {"sam-tiny, demo": "demo", "lite0, street": "street"}
MODELS = ("sam-tiny, demo", "shb-scratch, random", "lite0, street", "SAM-base, random")
DTYPES = ("float32", "bfloat16", "float16", "int8")

_COLD = """
import resource, sys
from pathlib import Path
sys.argv = ["sam-mprompt", "count", *sys.argv[1:]]
from sam_mprompt.cli.app import main
try:
    main()
except SystemExit as stopped:
    assert not stopped.code, stopped.code
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
peak = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
print((peak or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0])
"""
"""Counts as the command line does, and prints the kilobytes of its peak last."""


@dataclass(frozen=True)
class Cold:
    """What counting one image takes a new process: seconds of a wall clock and of the processor, and megabytes."""

    seconds: float
    busy: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.busy:.1f} s of the processor) and {self.megabytes:.0f} MB"


def random_adapter(path: Path, recipe_name: str, overrides: Sequence[str]) -> AdapterFolder:
    """Write an adapter of a recipe with random weights, the same each time."""
    torch.manual_seed(0)
    recipe = load_recipe(recipe_name, overrides)
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    AdapterFolder.of(path, built, recipe, metrics={}).write()
    return AdapterFolder.read(path)


def adapter_of(name: str, root: Path) -> AdapterFolder:
    """Return the adapter of a model."""
    if name in _RANDOM:
        return random_adapter(root / name, *_RANDOM[name])
    return AdapterFolder.read(find_adapter(_SHIPPED[name]))


def files_of(folder: AdapterFolder, root: Path, dtypes: Sequence[str], images: Sequence[ByteImage]) -> dict[str, Path]:
    """Write an adapter as files of both kinds, translated once; each is that of `export`."""
    plain = root / "float32.onnx"
    made = export(folder, plain, tile=_TILE, images=images[:2])
    found: dict[str, Path] = {}
    for dtype in dtypes:
        metadata = replace(made.metadata, dtype=dtype)
        source, half = onnx.load(str(plain)), dtype in ("bfloat16", "float16")
        model = in_int8(source, metadata, images, Reading()) if dtype == "int8" else source
        if dtype != "bfloat16":
            found[f"ONNX Runtime {dtype}"] = root / f"{dtype}.onnx"
            write_onnx(in_float16(model) if half else model, metadata, found[f"ONNX Runtime {dtype}"])
        if dtype != "bfloat16" or computes_bfloat16():
            found[f"OpenVINO {dtype}"] = root / f"{dtype}.openvino"
            write_openvino(openvino_network(model, half=half), metadata, found[f"OpenVINO {dtype}"])
    return found


def cold_start(adapter: Path, image: Path) -> Cold:
    """Count one image by a new process."""
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, "-c", _COLD, str(adapter), str(image)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, after = time.perf_counter() - started, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return Cold(seconds, busy, int(said.split()[-1]) * 1024 / 1e6)


def on_one_core() -> bool:
    """Whether this process may use one core alone."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == 1


def rows_of(
    name: str, root: Path, *, dtypes: Sequence[str] = DTYPES, compiled: bool = True, scenes: int = 12, rounds: int = 7
) -> list[Result]:
    """Measure one model: a row for each way to run it against PyTorch eager."""
    folder = adapter_of(name, root)
    images = [crowd_scene(7, index, (_TILE, _TILE)).image for index in range(scenes)]
    calibration = [crowd_scene(8, index, (_TILE, _TILE)).image for index in range(2 * scenes)]
    photo = root / "crowd.png"
    save_image(photo, images[0])
    places = {"eager": folder.path} | files_of(folder, root, dtypes, calibration)
    ways = {way: load(place, device=None if place.suffix == ".openvino" else "cpu") for way, place in places.items()}
    if compiled:
        ways["compiled"] = load(folder.path, device="cpu", compile=True)
    steps: dict[str, Callable[[], object]] = {way: partial(each.count, images[0]) for way, each in ways.items()}
    seconds = alternate(steps, rounds=rounds, clock=time.process_time if on_one_core() else time.perf_counter)
    counts = {way: np.array([result.count for result in each.count_many(images)]) for way, each in ways.items()}
    cold = {way: cold_start(place, photo) for way, place in places.items()}
    results = []
    for way in (way for way in ways if way != "eager"):
        off = float(np.abs(counts[way] - counts["eager"]).sum() / max(counts["eager"].sum(), 1.0))
        note = f"counts differ by {100 * off:.3g} % on {scenes} procedural crowds"
        if way in cold:
            note += f"; `count` of one image takes {cold[way]}, with the adapter's folder {cold['eager']}"
        spread = Spread.of(seconds["eager"], seconds[way])
        results.append(Result(f"{way}, {name}, {_TILE} px", "PyTorch eager", spread, note=note))
    return with_aims(results)


def with_aims(results: Sequence[Result]) -> list[Result]:
    """Return a model's rows with what was aimed at: by each int8 file, and by the fastest of all others."""
    others = [row for row in results if "int8" not in row.what and _WITHOUT_AIM not in row.what]
    fastest = max(others, key=lambda row: row.ratio.median, default=None)
    aims = [_INT8_AIM if "int8" in row.what else _FLOAT_AIM if row is fastest else None for row in results]
    return [replace(row, aim=aim) for row, aim in zip(results, aims, strict=True)]


def measure(names: Sequence[str] = MODELS, **options: object) -> list[Result]:
    """Measure some models."""
    results = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            results += rows_of(name, Path(folder), **options)  # type: ignore[arg-type]
    return results


def keep(name: str, results: Sequence[Result]) -> None:
    """Put a model's rows in the place of those that it had."""
    others = [row for row in read_row(record_of("deployed")) if f", {name}, " not in row.what]
    write_row("deployed", [*others, *results])


def main() -> None:
    """Measure the models that are named, by default all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.deployed", description="Measure exported files.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of: {'; '.join(MODELS)}")
    parser.add_argument("--not-compiled", action="store_true", help="leave torch.compile out, which takes minutes")
    parser.add_argument("--scenes", type=int, default=12, help="procedural crowds whose counts are compared")
    asked = parser.parse_args()
    if unknown := set(asked.models) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}: expected some of {'; '.join(MODELS)}")
    for name in asked.models or MODELS:
        keep(name, measure([name], compiled=not asked.not_compiled, scenes=asked.scenes))


if __name__ == "__main__":
    main()
