"""Ways to add SAM's position bias to attention, forward, and forward and backward."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention

from benchmarks.gpu.setting import Setting, Step, compare, timed_steps
from benchmarks.speed.pairs import Result
from sam_mprompt.models.sam_attention import (
    _PiecewiseAttention,
    widened_attention,
)

HEAD = 64


def pieces(*inputs: Tensor) -> Tensor:
    """Attention piece by piece, on a GPU too."""
    return _PiecewiseAttention.apply(*inputs)


WAYS: dict[str, Any] = {"pieces": pieces, "widened": widened_attention}
"""The ways that need no kernel of a GPU's own and hold no (N, N) matrix."""


def whole(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Attention with the whole bias as a mask, as libraries do it that call fused attention."""
    bias = (bias_h[..., :, None] + bias_w[..., None, :]).flatten(3).flatten(1, 2)
    return F.scaled_dot_product_attention(q[None], k[None], v[None], bias[None])[0]


def by_kernel(backend: SDPBackend, *inputs: Tensor) -> Tensor:
    """`widened_attention` by one of PyTorch's kernels."""
    with sdpa_kernel(backend):
        return widened_attention(*inputs)


def even(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Widened, with values as wide as keys: flash attention wants that."""
    values = F.pad(v, (0, math.ceil((HEAD + bias_h.shape[1] + bias_w.shape[2]) / 8) * 8 - HEAD))
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return widened_attention(q, k, values, bias_h, bias_w)[..., :HEAD]


def flex(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """By FlexAttention: a compiled kernel adds the two terms to each score and keeps none."""
    rows, columns = bias_h.flatten(1, 2), bias_w.flatten(1, 2)  # (n, N, H) and (n, N, W)
    width = columns.shape[-1]

    def add_bias(score: Tensor, _batch: Tensor, n: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score + rows[n, query, key // width] + columns[n, query, key % width]

    return flex_attention(q[None], k[None], v[None], score_mod=add_bias)[0]


def ways(setting: Setting) -> dict[str, Any]:
    """Return the ways that this device has."""
    found: dict[str, Any] = WAYS | {"whole mask": whole}
    if setting.kernels:
        found |= {
            "widened, flash": even,
            "widened, cuDNN": partial(by_kernel, SDPBackend.CUDNN_ATTENTION),
            "widened, memory-efficient": partial(by_kernel, SDPBackend.EFFICIENT_ATTENTION),
            "flex": torch.compile(flex, dynamic=False),
        }
    return found


def rows(setting: Setting, grid: int, heads: int, *, backward: bool) -> list[Result]:
    """Compare the ways on so many heads of grid x grid tokens, in bfloat16."""
    n, tokens = heads, grid * grid
    shapes = ((n, tokens, HEAD), (n, tokens, HEAD), (n, tokens, HEAD), (n, grid, grid, grid), (n, grid, grid, grid))
    inputs = [torch.randn(shape, device=setting.device, dtype=torch.bfloat16) for shape in shapes]
    for tensor in inputs:
        tensor.requires_grad_(backward)
    gradient = torch.randn(n, tokens, HEAD, device=setting.device, dtype=torch.bfloat16)
    expected = whole(*(tensor.detach().float()[:1] for tensor in inputs))

    def step(way: Any) -> None:
        with torch.set_grad_enabled(backward):
            out = way(*inputs)
            if backward:
                torch.autograd.grad(out, inputs, gradient)

    steps, refused = {}, []
    for name, way in ways(setting).items():
        try:
            with torch.set_grad_enabled(backward):
                error = (way(*inputs)[:1].detach().float() - expected).norm() / expected.norm()
            assert error < 0.02, f"{name} is {error:.3f} off"
            step(way)
        except RuntimeError as why:
            refused.append(f"{name}: {str(why).splitlines()[0][:80]}")
        else:
            steps[name] = partial(step, way)
    timed = timed_steps(setting, steps)
    best = min(timed.seconds, key=timed.median)
    direction = "forward and backward" if backward else "forward"
    what = f"attention, {heads} heads of {grid} x {grid} tokens, {direction}: {best}"
    found = compare(timed, best, {name: name for name in timed.seconds if name != best}, what)
    setting.clear()
    return [*found[:-1], *(_with_note(row, refused) for row in found[-1:])]


def _with_note(row: Result, refused: list[str]) -> Result:
    return Result(row.what, row.against, row.ratio, row.aim, row.limit, "; ".join([row.note, *refused]))


def parts(setting: Setting) -> dict[str, Step]:
    """Return every measurement by name: windows and global blocks of a large image, and of a crop."""
    sizes = ((14, 2400), (64, 96), (28, 192)) if setting.kernels else ((4, 2),)
    return {
        f"attention-{grid}-{way}": partial(rows, setting, grid, heads, backward=way == "backward")
        for grid, heads in sizes
        for way in ("forward", "backward")
    }
