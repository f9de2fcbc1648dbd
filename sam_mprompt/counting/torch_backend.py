"""The counter in PyTorch, as counting wants it: device, precision, evaluation mode, and what a full memory means."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray, Rgb
from ..errors import RunError, UsageError, did_you_mean
from ..models.counter import CounterOutput, CrowdCounter
from ..models.evaluating import evaluating

# A forked child inherits torch's pool of threads without the threads, and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))

Precision = Literal["no", "fp16", "bf16"]
"""The kind of mixed precision, as `train.precision` names it."""

AUTOCAST: dict[Precision, torch.dtype | None] = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}
"""By precision, the dtype that matrix products are computed in."""


_LIKE: dict[str, Precision] = {
    "float16": "fp16", "half": "fp16", "bfloat16": "bf16", "float32": "no", "fp32": "no", "full": "no", "none": "no",
}  # fmt: skip
"""Other names for them, which are not taken but understood in a message."""


def choose_device(device: str | int | torch.device | None) -> torch.device:
    """Return the device of that name.

    Args:
        device: "cpu", "cuda" or "gpu", "cuda:1", "1" or 1 for the same, "mps"; None is the GPU when there is one.

    Raises:
        UsageError: anything else, or a device that this machine does not have.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = available_devices()
    name = str(device).strip().lower()
    name = f"cuda:{name}" if name.isdecimal() else re.sub(r"^gpu\b", "cuda", name)
    kind, _, number = name.partition(":")
    if isinstance(device, bool) or not re.fullmatch(r"(cpu|cuda|mps)(:\d{1,4})?", name):
        raise UsageError(
            f"Expected a device such as 'cpu', 'cuda' or 'cuda:1', got '{device}'. Available: {', '.join(there)}."
        )
    if kind == "cpu":
        return torch.device(kind)
    if kind not in {other.partition(":")[0] for other in there}:
        sees = {"cuda": "torch sees no GPU", "mps": "this torch cannot use it"}[kind]
        raise UsageError(f"Device '{device}' is not available: {sees}. Available: {', '.join(there)}.")
    if number and f"{kind}:{int(number)}" not in there:
        raise UsageError(f"Device '{device}' is not available. Available: {', '.join(there)}.")
    return torch.device(kind, int(number)) if number else torch.device(kind)


def available_devices() -> list[str]:
    """Return the names of the devices of this machine that can count."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = ["mps:0"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{index}" for index in range(gpus)), *mps]


def check_precision(precision: str) -> Precision:
    """Return the precision of that name. Raises UsageError for another, with the nearest."""
    if isinstance(precision, str) and precision in AUTOCAST:
        return precision
    name = str(precision).removeprefix("torch.").lower()
    hint = f" Did you mean '{_LIKE[name]}'?" if name in _LIKE else did_you_mean(name, AUTOCAST)
    raise UsageError(f"precision: expected 'no', 'fp16' or 'bf16', got '{precision}'.{hint}")


class TorchBackend:
    """Runs a `CrowdCounter` on tiles, in evaluation mode; the modes of its modules are given back after each call.

    Args:
        model: on `device` already.
        device: where it is.
        precision: mixed precision on CUDA; other devices ignore it and run in float32.
        turn: entered around each call of a model whose encoder others use with other adapters (`tuning.turns`).
    """

    def __init__(
        self,
        model: CrowdCounter,
        device: str | torch.device,
        *,
        precision: Precision = "no",
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.model, self.device, self.turn = model, torch.device(device), turn
        self.autocast = AUTOCAST[precision] if self.device.type == "cuda" else None
        self.stride, self.size_divisor = model.stride, model.size_divisor
        encoder = cast(Any, model.encoder)
        self.mean: Rgb = tuple(encoder.mean)
        self.std: Rgb = tuple(encoder.std)

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell (B, h, w) of normalised tiles (B, 3, H, W). Raises RunError on a full memory."""
        return _on_the_cpu(self._run(tiles).density)[:, 0]

    def density_and_mask(self, tiles: FloatArray) -> FloatArray:
        """Return density and mask logits (B, 2, h, w) of normalised tiles (B, 3, H, W).

        Raises:
            UsageError: the model has no segmenter.
            RunError: the device's memory is exhausted.
        """
        output = self._run(tiles)
        if output.mask_logits is None:
            raise UsageError("Expected a counter with a segmenter, which alone predicts masks; this one has none.")
        return np.concatenate([_on_the_cpu(output.density), _on_the_cpu(output.mask_logits)], axis=1)

    def _run(self, tiles: FloatArray) -> CounterOutput:
        mixed = torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None)
        try:
            images = torch.from_numpy(tiles)
            if self.device.type == "cuda":
                images = images.pin_memory()  # so that the copy does not stop the CPU
            with self.turn(), evaluating(self.model), torch.inference_mode(), mixed:
                output: CounterOutput = self.model(images.to(self.device, non_blocking=True))
        except torch.OutOfMemoryError as error:
            count, _, height, width = tiles.shape
            raise RunError(
                f"Out of memory on {self.device} with {count} tile(s) of {height}x{width}: lower batch_size or tile."
            ) from error
        return output


def _on_the_cpu(maps: Tensor) -> FloatArray:
    return maps.float().cpu().numpy()
