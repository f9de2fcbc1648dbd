"""Freed memory kept for the next layer, or given back as glibc does by default: python -m benchmarks.speed.allocator

What `sam_mprompt.keep_freed_memory` does to the seconds and to the peak of a process. Each way has a process of its
own for each job; the two take turns, so that they meet the same machine.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

from benchmarks.speed import training_step
from benchmarks.speed.counting import counter
from benchmarks.speed.layout import step_of
from benchmarks.speed.pairs import Result, Spread, infer, peak_bytes
from benchmarks.speed.table import write_row
from sam_mprompt import keep_freed_memory
from sam_mprompt.deploy.load import load
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.resources import bundled

_NATIVE = ("shb-lite0-full", "sha-lite0-full", "shb-scratch")
_HALF = ("shb-lite0-full", "sha-lite0-full")

_DEFAULT = "what glibc does by default"

_state: dict[str, Callable[[], object]] = {}
"""In a process of a job: what it does again and again."""


def _training(recipe: str, precision: str) -> Callable[[], None]:
    return step_of(load_recipe(recipe, ("model.pretrained=false", f"train.precision={precision}")), laid_out=True)


def _counting(name: str, height: int, width: int) -> Callable[[], object]:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    opened = load(bundled("adapters") / name, device="cpu")
    return lambda: opened.count(image)


def _counting_in_a_thread(name: str, height: int, width: int) -> Callable[[], object]:
    count, thread = _counting(name, height, width), ThreadPoolExecutor(1)
    return lambda: thread.submit(count).result()


def _forward(name: str, height: int, width: int) -> Callable[[], None]:
    return partial(infer, counter(name), torch.randn(1, 3, height, width))


JOBS: dict[str, Callable[[], Callable[[], object]]] = {
    **{f"training step of `{name}`": partial(_training, name, "no") for name in _NATIVE},
    **{f"training step of `{name}`, bfloat16": partial(_training, name, "bf16") for name in _HALF},
    "training step of SAM-base with prompt modules, 448 px": partial(training_step.step_of, "ours"),
    "counting 1024x768 pixels, `street`": partial(_counting, "street", 768, 1024),
    "counting 4000x3000 pixels, `dense`": partial(_counting, "dense", 3000, 4000),
    "counting 1440x1080 pixels, `dense`, in a thread": partial(_counting_in_a_thread, "dense", 1080, 1440),
    "counting a 1024x768 image, SAM-base": partial(_forward, "SAM-base", 768, 1024),
}


def begin(job: str, kept: bool) -> None:
    """Prepare this process, which must be new, for a job, and do it twice, as the first time is slower."""
    if kept and not keep_freed_memory():
        raise SystemExit("Expected glibc, and none of its variables for memory in the environment.")
    _state["job"] = JOBS[job]()
    done()
    done()


def done() -> float:
    """Return the seconds that the job of this process takes once."""
    started = time.perf_counter()
    _state["job"]()
    return time.perf_counter() - started


def measure(job: str, rounds: int = 7) -> list[Result]:
    """Measure a job: its seconds, and the most memory that its process had."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with ExitStack() as stack:
        alone = partial(ProcessPoolExecutor, 1, get_context("spawn"), begin)
        processes = {kept: stack.enter_context(alone((job, kept))) for kept in seconds}
        for _ in range(rounds):
            for kept, process in processes.items():
                seconds[kept].append(process.submit(done).result())
        peaks = {kept: process.submit(peak_bytes).result() for kept, process in processes.items()}
    return [
        Result(f"{job}, freed memory kept", _DEFAULT, Spread.of(seconds[False], seconds[True])),
        Result(f"{job}, freed memory kept: most memory", _DEFAULT, Spread.once(peaks[False] / peaks[True])),
    ]


if __name__ == "__main__":
    write_row("allocator", [result for job in JOBS for result in measure(job)])
