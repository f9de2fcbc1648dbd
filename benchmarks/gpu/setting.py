"""What a GPU measurement runs on, and how a step is timed there."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import torch

from benchmarks.speed.pairs import Result, Spread
from sam_mprompt.models.sam_config import CONFIGS, SamConfig

Step = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """Where it is measured, with which encoder, at which sizes and how often.

    Attributes:
        device, config: where, and which encoder.
        sides, batches: pixels and images of inference.
        compiled: (side, batch) that are compiled too, which takes a while each.
        crop, crops: pixels and number of the crops of a training step.
        rounds: how often each step is timed.
        compiler: what `torch.compile` hands its graphs to.
        kernels: whether fused kernels that only a GPU has are measured.
    """

    device: torch.device
    config: SamConfig
    sides: tuple[int, ...]
    batches: tuple[int, ...]
    compiled: tuple[tuple[int, int], ...]
    crop: int
    crops: int
    rounds: int
    compiler: str
    kernels: bool

    @property
    def name(self) -> str:
        """What the device is called."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "a CPU, in miniature"

    def autocast(self, on: bool = True) -> torch.autocast:
        """Return bfloat16 autocast, or none."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def finish(self) -> None:
        """Wait until the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak(self, step: Step) -> float:
        """Return the bytes by which memory rises in a step; 1 on a CPU, which has no such count."""
        if self.device.type != "cuda":
            step()
            return 1.0
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        step()
        self.finish()
        return float(torch.cuda.max_memory_allocated(self.device) - before)

    def clear(self) -> None:
        """Forget compiled code and give memory back, so that one part leaves nothing to the next."""
        torch._dynamo.reset()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @cached_property
    def rates(self) -> dict[str, float]:
        """Multiply-adds per second of matrix products of 8192, in bfloat16 and in float32 without tf32: the limits."""
        return {
            "bfloat16": self._products(torch.bfloat16),
            "float32": self._products(torch.float32),
        }

    def _products(self, dtype: torch.dtype) -> float:
        side = 8192 if self.device.type == "cuda" else 256
        a, b = (torch.randn(side, side, device=self.device, dtype=dtype) for _ in range(2))
        timed = timed_steps(self, {"product": lambda: torch.mm(a, b)}, rounds=10)
        return float(side**3 / min(timed.seconds["product"]))


@dataclass(frozen=True)
class Timed:
    """Seconds of each step in every round; `failed` are those that did not run, with the reason."""

    seconds: dict[str, list[float]]
    failed: dict[str, str]

    def ratio(self, slower: str, faster: str) -> Spread:
        """Return how often `faster` goes into `slower`, round by round."""
        return Spread.of(self.seconds[slower], self.seconds[faster])

    def median(self, name: str) -> float:
        """Return the median seconds of a step."""
        return median(self.seconds[name])

    def notes(self) -> list[str]:
        """Return a line for each step that failed."""
        return [f"{name}: {why}" for name, why in self.failed.items()]


def timed_steps(setting: Setting, steps: Mapping[str, Step], *, rounds: int | None = None) -> Timed:
    """Time steps in turn, A B A B, each until the device is done, after two calls that do not count.

    A step that the device has no memory for is left out and told.
    """
    ready, failed = {}, {}
    for name, step in steps.items():
        try:
            step()
            step()
            setting.finish()
        except torch.OutOfMemoryError:
            failed[name] = "out of memory"
            setting.clear()
        else:
            ready[name] = step
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds or setting.rounds):
        for name, step in ready.items():
            setting.finish()
            began = time.perf_counter()
            step()
            setting.finish()
            seconds[name].append(time.perf_counter() - began)
    return Timed(seconds, failed)


def compare(
    timed: Timed,
    better: str,
    others: Mapping[str, str],
    what: str,
    *,
    share: float | None = None,
    aim: float | None = None,
) -> list[Result]:
    """Return a row for each other way that was timed, by name and what it is called.

    Args:
        timed: the seconds.
        better: the way that is ours.
        others: what it is held against.
        what: what is done.
        share: our share of the limit, which every row shows.
        aim: the least ratio that was aimed at.
    """
    if better not in timed.seconds:
        return []
    took = f"{1000 * timed.median(better):.2f} ms"
    return [
        Result(what, called, timed.ratio(name, better), aim=aim, limit=share, note=took)
        for name, called in others.items()
        if name in timed.seconds
    ]


def gpu(device: torch.device) -> Setting:
    """Return what is measured on a GPU."""
    return Setting(
        device,
        CONFIGS["vit_b"],
        sides=(448, 896, 1024),
        batches=(1, 8, 32),
        compiled=((448, 8), (1024, 1), (1024, 32)),
        crop=448,
        crops=16,
        rounds=10,
        compiler="inductor",
        kernels=True,
    )


def miniature() -> Setting:
    """Return what a CPU goes through in a minute, to show that it runs."""
    config = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16)
    cpu = torch.device("cpu")
    return Setting(
        cpu, config, (224,), (1,), ((224, 1),), crop=224, crops=1, rounds=1, compiler="aot_eager", kernels=False
    )
