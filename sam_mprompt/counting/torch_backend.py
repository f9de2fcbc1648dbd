"""The counter in PyTorch, as counting wants it: device, precision, evaluation mode, and what a full memory means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..arrays import FloatArray, Rgb
from ..errors import RunError, UsageError
from ..models.counter import CounterOutput, CrowdCounter

Precision = Literal["no", "fp16", "bf16"]
"""The kind of mixed precision, as `train.precision` names it."""

AUTOCAST: dict[Precision, torch.dtype | None] = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}
"""By precision, the dtype that matrix products are computed in."""


def choose_device(device: str | torch.device | None) -> torch.device:
    """Return the device of that name; None is the GPU when there is one. Raises UsageError for a GPU that is not."""
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"Device '{chosen}' is not available: torch sees no GPU. Use device='cpu'.")
    return chosen


class TorchBackend:
    """Runs a `CrowdCounter` on tiles, in evaluation mode; the modes of its modules are given back after each call.

    Args:
        model: on `device` already.
        device: where it is.
        precision: mixed precision on CUDA; other devices ignore it and run in float32.
    """

    def __init__(self, model: CrowdCounter, device: str | torch.device, *, precision: Precision = "no") -> None:
        self.model, self.device = model, torch.device(device)
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
            with _evaluation_mode(self.model), torch.inference_mode(), mixed:
                output: CounterOutput = self.model(images.to(self.device, non_blocking=True))
        except torch.OutOfMemoryError as error:
            count, _, height, width = tiles.shape
            raise RunError(
                f"Out of memory on {self.device} with {count} tile(s) of {height}x{width}: lower batch_size or tile."
            ) from error
        return output


def _on_the_cpu(maps: Tensor) -> FloatArray:
    return maps.float().cpu().numpy()


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and give each its own mode back: a frozen part may differ from the rest."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
