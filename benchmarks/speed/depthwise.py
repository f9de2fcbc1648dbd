"""Gradients of depthwise layers in bfloat16 on a CPU: python -m benchmarks.speed.depthwise

Each kind of layer that EfficientNet-Lite0 has up to stride 16, for a batch of eight crops of 384 pixels: composed of
gradients that have fast kernels (`sam_mprompt.training.depthwise`), against PyTorch's own, and against float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.recipe.schema import TrainRecipe
from sam_mprompt.training.depthwise import depthwise_gradients

_CPU = torch.device("cpu")
_LAYERS = (
    # channels, cells a side, taps a side, stride
    *((32, 192, 3, 1), (96, 192, 3, 2), (144, 96, 3, 1), (144, 96, 5, 2), (240, 48, 5, 1), (240, 48, 3, 2)),
    *((480, 24, 3, 1), (480, 24, 5, 1), (672, 24, 5, 1)),
)


def backward_of(shape: tuple[int, int, int, int], precision: str, *, ours: bool, batch: int) -> Callable[[], object]:
    """Return a function that takes the gradients of a layer of that shape, channels-last as in training."""
    channels, side, taps, stride = shape
    layer = nn.Conv2d(channels, channels, taps, stride, taps // 2, groups=channels, bias=False)
    layer.to(memory_format=torch.channels_last)
    dtype = torch.float32 if precision == "no" else torch.bfloat16
    maps = torch.randn(batch, channels, side, side).to(dtype, memory_format=torch.channels_last).requires_grad_()
    composed = depthwise_gradients(_CPU, TrainRecipe(precision="bf16" if ours else "no"))
    with composed, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        made: Tensor = layer(maps)
    gradient = torch.randn_like(made)
    return lambda: torch.autograd.grad(made, (maps, layer.weight), gradient, retain_graph=True)


def measure(batch: int = 8, rounds: int = 7, layers: tuple[tuple[int, int, int, int], ...] = _LAYERS) -> list[Result]:
    """Measure each kind of layer."""
    results = []
    for shape in layers:
        seconds = alternate(
            {
                "theirs": backward_of(shape, "bf16", ours=False, batch=batch),
                "float32": backward_of(shape, "no", ours=False, batch=batch),
                "ours": backward_of(shape, "bf16", ours=True, batch=batch),
            },
            rounds=rounds,
        )
        channels, side, taps, stride = shape
        what = f"gradients in bfloat16: {channels} channels, {side} px, {taps} x {taps} taps, stride {stride}"
        results += [
            Result(what, "PyTorch's own", Spread.of(seconds["theirs"], seconds["ours"])),
            Result(what, "float32", Spread.of(seconds["float32"], seconds["ours"])),
        ]
    return results


if __name__ == "__main__":
    write_row("depthwise", measure())
