"""Measuring side by side: A B A B in one process, ratios with their spread, beside the machine's own limit.

Each measurement returns `Result`s; what becomes of them is in table.py.
"""

import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of a ratio over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, slower: Sequence[float], faster: Sequence[float]) -> "Spread":
        """Return how often `faster` goes into `slower`, round by round."""
        ratios = [a / b for a, b in zip(slower, faster, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))

    @classmethod
    def once(cls, ratio: float) -> "Spread":
        """Return a ratio that was measured once."""
        return cls(ratio, ratio, ratio)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        what, against: the two sides.
        ratio: in our favour when above 1.
        aim: the least ratio that was aimed at, or None.
        limit: our share of the machine's matrix-product rate, or None.
        note: what the figure leaves open.
    """

    what: str
    against: str
    ratio: Spread
    aim: float | None = None
    limit: float | None = None
    note: str = ""


def alternate(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds of each function in every round, after one call of each that does not count if `warm`."""
    for function in functions.values() if warm else ():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            started = clock()
            function()
            seconds[name].append(clock() - started)
    return seconds


def matrix_rate(side: int = 1024, rounds: int = 5) -> float:
    """Return the multiply-adds per second that float32 matrix products reach here, in the best of some rounds."""
    import torch

    a, b = torch.randn(side, side), torch.randn(side, side)
    seconds = alternate({"product": lambda: torch.mm(a, b)}, rounds=rounds)["product"]
    return float(side**3 / min(seconds))


def multiply_adds(function: Callable[[], object]) -> float:
    """Return the multiply-adds of a call: matrix products, convolutions and attention, on a CPU."""
    from sam_mprompt.evaluation.cost import flop_counter

    with flop_counter() as flops:
        function()
    return flops.get_total_flops() / 2


def infer(model: Callable[[Any], object], images: object) -> None:
    """Call a model without gradients."""
    import torch

    with torch.inference_mode():
        model(images)


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike ru_maxrss, not inherited from the parent process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_rise(function: Callable[[], object]) -> int:
    """Return the bytes by which the peak of this process, which must be new, rises in a call."""
    before = peak_bytes()
    function()
    return peak_bytes() - before


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a module-level function returns in a new process, so that its peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def this_machine() -> str:
    """Return what a measurement on the CPU ran on."""
    return f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} threads, no GPU"
