"""Matrix products of linear layers on a CPU, by the library that is the fastest there."""

import functools
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .environment import processor

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@functools.cache
def onednn_is_faster() -> bool:
    """Return whether oneDNN multiplies float32 matrices faster than MKL, which PyTorch calls for them.

    So it was measured on an AMD processor (`python -m benchmarks.speed.products`). On others it was not measured, and
    MKL is called there as ever.
    """
    return torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available() and "AMD" in processor()


def is_plain(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Linear]:
    """Return whether a layer and its input are what this module multiplies: a linear layer in float32 on a CPU.

    Nobody listens to the layer by hooks of its own, and nothing is compiled, traced or cast on the way.
    """
    return (
        type(layer) is nn.Linear
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and not torch.is_autocast_enabled("cpu")
        and x.device.type == "cpu"
        and x.dtype == layer.weight.dtype == torch.float32
        and x.numel() > 0
        and layer.bias is not None
        and not any(getattr(layer, hooks) for hooks in _HOOKS)
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b as `F.linear` does: (..., in) by (out, in) -> (..., out), float32 on a CPU, no gradients."""
    if not onednn_is_faster():
        return F.linear(x, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def laid_out(weight: Tensor, rows: int) -> Tensor:
    """Return a weight (out, in) as `product` wants it for several calls with so many rows each; a copy, or itself."""
    if not onednn_is_faster():
        return weight
    found: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return found


def product_of_gelu(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return GELU(z) W^T + b with gradients, float32 on a CPU; z alone is kept, and its GELU is taken anew for W's."""
    found: Tensor = _ProductOfGelu.apply(z, weight, bias)
    return found


class _ProductOfGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(z, weight)
        return product(F.gelu(z), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, weight = ctx.saved_tensors
        for_z, for_weight, for_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            torch.ops.aten.gelu_backward(product(grad, weight.T), z) if for_z else None,
            rows.T @ F.gelu(z).reshape(-1, z.shape[-1]) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )
