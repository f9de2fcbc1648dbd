"""Depthwise convolutions under bfloat16 on a CPU: forward as they are, gradients in float32.

PyTorch's gradients of a depthwise convolution in bfloat16 have no fast kernel on a CPU and take longer than those in
float32, so that mixed precision would lose there most of what it gains elsewhere.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..recipe.schema import TrainRecipe


def depthwise_gradients(device: torch.device, train: TrainRecipe) -> AbstractContextManager[Any]:
    """Return what a forward pass is made in, so that the gradients of its depthwise convolutions are fast.

    Nothing changes but on a CPU with train.precision = "bf16". Encoders that are compiled or recomputed stay as they
    are: neither follows what is changed here.
    """
    plain = train.compile or train.gradient_checkpointing
    return _Depthwise() if device.type == "cpu" and train.precision == "bf16" and not plain else nullcontext()


class _Depthwise(TorchFunctionMode):
    """Takes the calls of `conv2d` that are depthwise and whose weights train."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d and not kwargs and len(args) == 7 and torch.is_grad_enabled():
            images, weight, bias, stride, padding, dilation, groups = args
            if groups > 1 and groups == len(weight) and weight.requires_grad and not isinstance(padding, str):
                made = _Float32Gradients.apply(images, weight, tuple(stride), tuple(padding), tuple(dilation))
                return made if bias is None else made + bias.to(made.dtype)[:, None, None]
        return func(*args, **(kwargs or {}))


class _Float32Gradients(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        """(B, C, H, W) and (C, 1, kh, kw) -> bfloat16 (B, C, h, w)."""
        half = images.to(torch.bfloat16)
        ctx.save_for_backward(half, weight)
        ctx.geometry, ctx.came_as = (stride, padding, dilation), images.dtype
        return torch.conv2d(half, weight.to(torch.bfloat16), None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of images and weight, those of the images as the images came."""
        images, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        of_images, of_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(), images.float(), weight.float(), None, stride, padding, dilation, False, [0, 0],
            len(weight), wanted,
        )  # fmt: skip
        return None if of_images is None else of_images.to(ctx.came_as), of_weight, None, None, None
