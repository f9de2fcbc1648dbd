"""Training on a GPU: the step against the usual way, the heads' layout, and a whole finetuning with its data."""

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu.encoder import attending, compiled
from benchmarks.gpu.setting import Setting, Step, compare, timed_steps
from benchmarks.speed.pairs import Result, Spread
from benchmarks.speed.sam_encoders import features_of, ours
from benchmarks.speed.training_step import frozen
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.models.acceleration import channels_last, enable_gradient_checkpointing
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.finetune import claimed_run, finetune
from sam_mprompt.training.observer import Observer
from sam_mprompt.tuning.attach import attach


def training(encoder: nn.Module, images: Tensor, setting: Setting) -> Step:
    """Return a function that goes forward and backward, as an adapter is trained."""
    encoder.to(setting.device).train()

    def step() -> None:
        with setting.autocast():
            loss = features_of(encoder(images)).float().pow(3).mean()
        loss.backward()
        encoder.zero_grad()

    return step


def prompted(setting: Setting, way: str) -> nn.Module:
    """Return our encoder with prompt modules, attending in a way."""
    with torch.device(setting.device):
        return attending(attach(ours(setting.config, setting.crop), "prompt"), way)


def step_rows(setting: Setting) -> list[Result]:
    """Compare a training step's time and memory, as it is and compiled."""
    images = torch.randn(setting.crops, 3, setting.crop, setting.crop, device=setting.device)
    what = f"training step with prompt modules, {setting.crop} px, batch {setting.crops}, bfloat16"

    def usual() -> nn.Module:
        with torch.device(setting.device):
            return frozen(setting.config, setting.crop)

    recomputed = prompted(setting, "as it is")
    enable_gradient_checkpointing(recomputed)
    eager: dict[str, Step] = {
        "the usual way": training(usual(), images, setting),
        "pieces": training(prompted(setting, "pieces"), images, setting),
        "as it is": training(prompted(setting, "as it is"), images, setting),
        "recomputed": training(recomputed, images, setting),
    }
    found = _step_rows(setting, what, eager)
    translated: dict[str, Step] = {"the usual way": training(compiled(usual(), setting), images, setting)}
    translated["as it is"] = training(compiled(prompted(setting, "as it is"), setting), images, setting)
    return found + _step_rows(setting, f"{what}, compiled", translated)


def _step_rows(setting: Setting, what: str, steps: Mapping[str, Step]) -> list[Result]:
    timed = timed_steps(setting, steps)
    peaks = {name: setting.peak(steps[name]) for name in timed.seconds}
    found = []
    for name in timed.seconds:
        if name != "the usual way":
            aim = 1.3 if name == "as it is" else None
            found += compare(timed, name, {"the usual way": "the usual way"}, f"{what}: {name}", aim=aim)
            ratio = Spread.once(peaks["the usual way"] / peaks[name])
            found.append(Result(f"{what}: peak memory, {name}", "the usual way", ratio, aim=aim and 1 / 0.6))
    setting.clear()
    return found


def head_rows(setting: Setting) -> list[Result]:
    """Compare the heads' convolutions in both layouts."""
    images = torch.randn(setting.crops, 3, setting.crop, setting.crop, device=setting.device)
    model = load_recipe("sha").model
    steps: dict[str, Step] = {}
    for layout in ("contiguous", "channels last"):
        counter = CrowdCounter(ours(setting.config, setting.crop), model, segmenter=True).to(setting.device)
        if layout == "channels last":
            channels_last(counter)
        with torch.no_grad():
            encoded = counter.encode(images)
        steps[layout] = partial(_heads, counter, images, encoded, setting)
    timed = timed_steps(setting, steps)
    setting.clear()
    return compare(timed, "channels last", {"contiguous": "contiguous"}, "both heads, channels last")


def _heads(counter: CrowdCounter, images: Tensor, encoded: list[Tensor], setting: Setting) -> None:
    with setting.autocast():
        output = counter(images, encoded)
        assert output.mask_logits is not None
        (output.density.mean() + output.mask_logits.mean()).backward()
    counter.zero_grad()


class _Pace(Observer):
    """Keeps the time of each batch, and the lines of epochs."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.records: list[Mapping[str, Any]] = []

    def batch(self, done: int, total: int, values: Mapping[str, float]) -> None:  # noqa: ARG002
        self.times.append(time.perf_counter())

    def epoch(self, record: Mapping[str, Any]) -> None:
        self.records.append(record)


@contextmanager
def watched() -> Iterator[list[float]]:
    """Yield what grows by the share of time that the GPU was busy, ten times a second; empty without a GPU's tool."""
    shares: list[float] = []
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield shares
        return
    command = [tool, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def listen() -> None:
            shares.extend(float(line) / 100 for line in process.stdout or () if line.strip().isdecimal())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield shares
        finally:
            process.terminate()
            listener.join(5)


def copies(data: Path, folder: Path, times: int) -> None:
    """Write each training image, and its heads as points, several times, each a little less wide."""
    folder.mkdir(parents=True)
    for sample in read_split(data, "train", val_fraction=0).samples:
        image = cv2.imread(str(sample.image))
        assert image is not None
        assert sample.points is not None
        for index in range(times):
            left, name = 8 * index, f"{sample.image.stem}-{index}"
            cv2.imwrite(str(folder / f"{name}.jpg"), image[:, left:])
            np.savetxt(folder / f"{name}.txt", sample.points[sample.points[:, 0] >= left] - (left, 0), "%.2f")


def finetune_rows(setting: Setting, data: Path | None, epochs: int = 8) -> list[Result]:
    """Train SAM-base with random weights by the recipe `shb` on real or procedural images, data loading included."""
    with tempfile.TemporaryDirectory() as folder:
        if data:
            copies(data, Path(folder) / "data", 8)
            data = Path(folder) / "data"
        return [
            _finetuned(setting, data, Path(folder) / f"run-{compiled}", epochs, compiled)
            for compiled in ((False, True) if setting.kernels else (False,))
        ]


def _finetuned(setting: Setting, data: Path | None, run: Path, epochs: int, compiled: bool) -> Result:
    real = setting.kernels
    recipe = load_recipe(
        "shb",
        [
            *(("data.format=points",) if data else ("data.format=synthetic", "synthetic.train=4", "synthetic.val=1")),
            f"data.cache={'images' if data else 'none'}",
            f"data.crop={setting.crop}",
            f"model.base={'random:vit_b' if real else 'random:tiny'}",
            f"train.batch_size={setting.crops}",
            f"train.precision={'bf16' if real else 'no'}",
            f"train.compile={str(compiled).lower()}",
            f"train.epochs={epochs}",
            f"train.validate_every={epochs}",
            "train.preview_every=0",
            f"train.workers={8 if real else 0}",
            "loss.kappa=0",
        ],
    )
    pace = _Pace()
    with claimed_run(recipe, (), run, resume=False) as (_, claimed), watched() as shares:
        finetune(recipe, data=data, run=claimed, observer=pace)
    rates = [float(record["images_per_s"]) for record in pace.records if record.get("images_per_s")]
    gaps = [later - earlier for earlier, later in pairwise(pace.times)]
    later = shares[len(shares) // 2 :]  # when it runs: compiled, its images decoded
    note = f"{median(rates):.1f} images/s, steps of {1000 * median(gaps):.0f} ms"
    if later:
        note += f"; GPU busy in {100 * mean(later):.0f} % of the time of the second half"
    setting.clear()
    how = ", compiled" if compiled else ""
    what = f"finetune, recipe shb, SAM-base with random weights, {setting.crop} px, batch {setting.crops}, bf16{how}"
    return Result(what, "its slowest epoch", Spread(*(rate / min(rates) for rate in _three(rates))), note=note)


def _three(rates: list[float]) -> tuple[float, float, float]:
    return median(rates), min(rates), max(rates)


def parts(setting: Setting, data: Path | None) -> dict[str, Step]:
    """Return every measurement by name."""
    epochs = 6 if setting.kernels else 1
    return {
        "training-step": partial(step_rows, setting),
        "training-heads": partial(head_rows, setting),
        "finetune": partial(finetune_rows, setting, data, epochs),
    }
