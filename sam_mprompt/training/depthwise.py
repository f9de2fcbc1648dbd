"""Depthwise convolutions under bfloat16 on a CPU: the same outputs, and gradients by the kernels that are fast.

Of the gradients of a depthwise convolution in bfloat16 PyTorch has fast kernels on a CPU for the images at stride 1 and
for weights of 3 x 3. Others take longer than in float32, so that mixed precision would lose there most of what it gains
elsewhere. They are composed of the fast ones.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..recipe.schema import TrainRecipe

_TAPS = 3
"""A side of the weights whose gradient has a fast kernel."""

_Pair = tuple[int, int]


def depthwise_gradients(device: torch.device, train: TrainRecipe) -> AbstractContextManager[Any]:
    """Return what a forward pass is made in, so that the gradients of its depthwise convolutions are fast.

    Nothing changes but on a CPU with train.precision = "bf16". Encoders that are compiled or recomputed stay as they
    are: neither follows what is changed here.
    """
    plain = train.compile or train.gradient_checkpointing
    return _Depthwise() if device.type == "cpu" and train.precision == "bf16" and not plain else nullcontext()


class _Depthwise(TorchFunctionMode):
    """Takes the calls of `conv2d` that are depthwise, without dilation, and whose weights train."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d and not kwargs and len(args) == 7 and torch.is_grad_enabled():
            images, weight, bias, stride, padding, dilation, groups = args
            depthwise = groups > 1 and groups == len(weight) and weight.requires_grad
            if depthwise and not isinstance(padding, str) and set(dilation) == {1}:
                made = _FastGradients.apply(images, weight, tuple(stride), tuple(padding))
                return made if bias is None else made + bias.to(made.dtype)[:, None, None]
        return func(*args, **(kwargs or {}))


class _FastGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair) -> Tensor:
        """(B, C m, H, W) and (C, m, kh, kw) -> bfloat16 (B, C, h, w); m is 1 as a rule."""
        half, kernel = images.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(half, kernel)
        ctx.geometry, ctx.came_as = (stride, padding), (images.dtype, weight.dtype)
        return torch.conv2d(half, kernel, None, stride, padding, (1, 1), len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of images and weight, each as it came."""
        images, weight = ctx.saved_tensors
        of_images = _of_images(gradients[0], images, weight, *ctx.geometry) if ctx.needs_input_grad[0] else None
        of_weight = _of_weight(gradients[0], images, weight, *ctx.geometry)
        came_as = ctx.came_as
        return None if of_images is None else of_images.to(came_as[0]), of_weight.to(came_as[1]), None, None


def _of_images(gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair) -> Tensor:
    """(B, C, h, w) -> (B, C m, H, W): at stride 1, by zeros between what was strided."""
    if stride != (1, 1):
        sides = zip(images.shape[-2:], padding, weight.shape[-2:], strict=True)
        shape = (*gradient.shape[:2], *(side + 2 * pad - taps + 1 for side, pad, taps in sides))
        spread = torch.empty(shape, dtype=gradient.dtype, memory_format=_layout(gradient)).zero_()
        spread[..., :: stride[0], :: stride[1]] = gradient
        gradient = spread
    return _gradients(gradient, images, weight, (1, 1), padding, of_images=True)[0]


def _of_weight(gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair) -> Tensor:
    """(B, C, h, w) -> (C, m, kh, kw), in pieces of 3 x 3 taps where there are more."""
    if max(weight.shape[-2:]) <= _TAPS:
        return _gradients(gradient, images, weight, stride, padding, of_images=False)[1]
    padded = F.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    found = torch.empty_like(weight)
    for rows in _pieces(weight.shape[-2]):
        for columns in _pieces(weight.shape[-1]):
            over = zip((rows, columns), gradient.shape[-2:], stride, strict=True)
            high, wide = (slice(taps.start, taps.stop + (cells - 1) * step) for taps, cells, step in over)
            seen = padded[..., high, wide].contiguous(memory_format=_layout(padded))
            kernel = weight[..., rows, columns]
            found[..., rows, columns] = _gradients(gradient, seen, kernel, stride, (0, 0), of_images=False)[1]
    return found


def _pieces(taps: int) -> Iterator[slice]:
    """Yield parts of a kernel's side, each as long as the fast kernel; the last two may share some."""
    length = min(taps, _TAPS)
    for start in range(0, taps, length):
        first = min(start, taps - length)
        yield slice(first, first + length)


def _layout(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: _Pair, padding: _Pair, *, of_images: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return PyTorch's gradients of images, weight and bias, of which only one of the first two is computed."""
    wanted = [of_images, not of_images, False]
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, stride, padding, (1, 1), False, [0, 0], len(weight), wanted
    )
    return found
