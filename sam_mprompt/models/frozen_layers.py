"""Linear layers and MLPs whose weights do not train, in less time and memory than under plain autograd."""

from collections.abc import Iterator
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..products import is_plain, laid_out, onednn_is_faster, product

ROWS = 784
"""Tokens that go through an MLP at once: what is between its layers then stays near the processor."""

_LEAST = -0.13
"""GELU's slope lies between -0.129 and 1.129: between this and one minus this."""

_STEP = (1 - 2 * _LEAST) / (2**15 - 1)
"""The slope is kept as the nearest whole number of these steps, an int16, and so to 2e-5."""


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what a linear layer gives, (..., in) -> (..., out); any module may stand in its place."""
    if not _frozen(layer, x) or not onednn_is_faster():
        found: Tensor = layer(x)
        return found
    if torch.is_grad_enabled() and x.requires_grad:
        return _FrozenLinear.apply(x, layer.weight, layer.bias)
    return product(x, layer.weight, layer.bias)


def mlp(first: nn.Module, second: nn.Module, x: Tensor) -> Tensor:
    """Return second(GELU(first(x))), (..., in) -> (..., out); any modules may stand in the layers' places.

    Of frozen layers nothing is kept for the backward pass but the slope of the GELU, in 16 bits.
    """
    if not _frozen(first, x) or not _frozen(second, x):
        found: Tensor = second(F.gelu(first(x)))
        return found
    weights = (first.weight, first.bias, second.weight, second.bias)
    if torch.is_grad_enabled() and x.requires_grad:
        return _FrozenMlp.apply(x, *weights)
    return _in_rows(x, *weights)


def _frozen(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Linear]:
    """Return whether a layer is a plain linear one that gets no gradients now."""
    return is_plain(layer, x) and not (
        torch.is_grad_enabled() and (layer.weight.requires_grad or layer.bias.requires_grad)
    )


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        [weight] = ctx.saved_tensors
        return product(grad, weight.T), None, None


class _FrozenMlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        slopes = torch.empty(*x.shape[:-1], len(weight), dtype=torch.int16)
        out = _in_rows(x, weight, bias, weight2, bias2, slopes)
        ctx.save_for_backward(weight, weight2, slopes)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, weight2, slopes = ctx.saved_tensors
        back, back2 = _for_pieces(grad, weight.T, weight2.T)
        found = grad.new_empty(*grad.shape[:-1], weight.shape[1])
        parts = zip(*(_rows(tensor).split(ROWS) for tensor in (grad, slopes, found)), strict=True)
        for rows, steps, part in parts:
            hidden = product(rows, back2)
            part.copy_(product(torch.mul(hidden, steps).mul_(_STEP).add_(hidden, alpha=_LEAST), back))
        return found, None, None, None, None


def _in_rows(
    x: Tensor, weight: Tensor, bias: Tensor, weight2: Tensor, bias2: Tensor, slopes: Tensor | None = None
) -> Tensor:
    """Tokens (..., in) -> (..., out) through both layers, `ROWS` at a time; fills `slopes` (..., hidden)."""
    there, back = _for_pieces(x, weight, weight2)
    out = x.new_empty(*x.shape[:-1], len(weight2))
    parts = _rows(out).split(ROWS)
    for index, rows in enumerate(_rows(x).split(ROWS)):
        hidden = product(rows, there, bias)
        if slopes is not None:
            slope = torch.ops.aten.gelu_backward(torch.ones_like(hidden), hidden)
            # The conversion cuts off what is behind the point: half a step more rounds.
            _rows(slopes)[index * ROWS :][:ROWS].copy_(slope.sub_(_LEAST).div_(_STEP).add_(0.5))
        parts[index].copy_(product(F.gelu(hidden), back, bias2))
    return out


def _rows(x: Tensor) -> Tensor:
    """Return tokens (..., C) as (N, C), the same memory where that is in order."""
    return x.reshape(-1, x.shape[-1])


def _for_pieces(x: Tensor, *weights: Tensor) -> Iterator[Tensor]:
    """Lay weights out once for all pieces of `x`; for one or two it does not pay."""
    several = x.shape[:-1].numel() > 2 * ROWS
    return (laid_out(weight, ROWS) if several else weight for weight in weights)
