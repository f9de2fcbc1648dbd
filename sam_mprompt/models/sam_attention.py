"""SAM's attention with decomposed relative positions, exact, without ever holding a whole attention matrix."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .frozen_layers import linear

# Elements of the attention matrix that exist at once. On a CPU a piece should stay near its caches (measured: larger
# pieces are slower and only cost memory); elsewhere a piece must be large enough to keep the device busy.
PIECE_CPU = 2**20
PIECE_ELSEWHERE = 2**26

# Up to so many tokens (SAM's windows) a GPU attends faster with the bias as a mask, unless gradients are wanted.
FEW_TOKENS = 14 * 14


class Attention(nn.Module):
    """Multi-head attention whose parameters are those of SAM's: `qkv`, `proj`, `rel_pos_h`, `rel_pos_w`.

    A query at row i, column j and a key at row k, column l get the bias q.R_h[i - k] + q.R_w[j - l] (MViTv2, eq. 4;
    https://arxiv.org/abs/2112.01526). SAM adds it to a materialised (N, N) matrix per head; here it goes into
    `scaled_dot_product_attention` piece by piece, or as further columns of queries and keys (`prefers_widened`).

    Args:
        features: C.
        heads: divides C.
        input_size: rows and columns of tokens for which the tables of relative positions are made.

    Attributes:
        centred: how tables of relative positions serve grids of another side: see `relative_positions`.
    """

    centred = False

    def __init__(self, features: int, heads: int, input_size: tuple[int, int]) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv = nn.Linear(features, 3 * features)
        self.proj = nn.Linear(features, features)
        self.rel_pos_h, self.rel_pos_w = (
            nn.Parameter(torch.zeros(2 * side - 1, features // heads)) for side in input_size
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, H, W, C) -> (B, H, W, C)."""
        b, h, w, _ = x.shape
        qkv = linear(self.qkv, x).reshape(b, h * w, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, b * self.num_heads, h * w, -1).unbind(0)  # each (B*heads, H*W, head_dim)
        grid = q.unflatten(1, (h, w))
        bias_h = torch.einsum("nhwc,hkc->nhwk", grid, relative_positions(self.rel_pos_h, h, centred=self.centred))
        bias_w = torch.einsum("nhwc,wkc->nhwk", grid, relative_positions(self.rel_pos_w, w, centred=self.centred))
        x = self.attend(q, k, v, bias_h, bias_w)
        x = x.view(b, self.num_heads, h, w, -1).permute(0, 2, 3, 1, 4).reshape(b, h, w, -1)
        return linear(self.proj, x)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
        """What `biased_attention` computes: measurements put other ways here."""
        return biased_attention(q, k, v, bias_h, bias_w)


def relative_positions(table: Tensor, size: int, *, centred: bool = False) -> Tensor:
    """Embeddings (size, size, C) of every query-key distance along one axis, from a table of 2 * span - 1 distances.

    A table that was made for another span is resampled linearly over its whole length, SAM's own rule. `centred` takes
    its middle instead where it is long enough, so that a distance of one token stays what pre-training saw.
    """
    distances = 2 * size - 1
    if centred and len(table) > distances:
        first = (len(table) - distances) // 2
        table = table[first : first + distances]
    elif len(table) != distances:
        table = F.interpolate(table.float().T[None], size=distances, mode="linear")[0].T.to(table.dtype)
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for n heads on an H x W grid, N = H * W tokens.

    Args:
        q, k, v: (n, N, d).
        bias_h: (n, H, W, H), what a query adds for each row of keys.
        bias_w: (n, H, W, W), what a query adds for each column of keys.

    Returns:
        (n, N, d).
    """
    gradient = torch.is_grad_enabled() and q.requires_grad
    if prefers_widened(q.device.type, q.dtype, tokens=q.shape[1], gradient=gradient):
        return widened_attention(q, k, v, bias_h, bias_w)
    if torch.compiler.is_compiling():  # one node in an exported graph; a compiler schedules memory itself
        return F.scaled_dot_product_attention(q[None], k[None], v[None], _bias(bias_h, bias_w)[None])[0]
    return _PiecewiseAttention.apply(q, k, v, bias_h, bias_w)


def prefers_widened(device: str, dtype: torch.dtype, *, tokens: int, gradient: bool) -> bool:
    """Return whether `widened_attention` is the fastest way: on a GPU in half precision, whose fused kernels it opens.

    Measured by `python -m benchmarks.gpu` on an H100 (benchmarks/gpu.md): with gradients 1.6 to 4.4 times the others,
    without 1.6 to 3.4 on a whole image's tokens, but half as fast in windows; in float32 slower than pieces.
    """
    return device == "cuda" and dtype in (torch.float16, torch.bfloat16) and (gradient or tokens > FEW_TOKENS)


def widened_attention(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """As `biased_attention`, by plain attention over wider queries and keys, for which fused kernels exist.

    The bias is a product itself: what a query adds for each row and column, times ones where a key's row and column
    are. So queries get their terms behind them, keys the ones, and no (N, N) matrix exists, forward or backward.
    """
    h, w = bias_h.shape[1:3]
    spare = -(q.shape[-1] + h + w) % 8  # kernels want whole groups of eight
    queries = torch.cat([q / math.sqrt(q.shape[-1]), bias_h.flatten(1, 2), bias_w.flatten(1, 2)], -1)
    keys = torch.cat([k, _places(h, w, k).expand(len(k), -1, -1)], -1)
    if spare:
        queries, keys = F.pad(queries, (0, spare)), F.pad(keys, (0, spare))
    return F.scaled_dot_product_attention(queries[None], keys[None], v[None], scale=1.0)[0]


def _places(h: int, w: int, like: Tensor) -> Tensor:
    """Return (h * w, h + w): a one where a token's row is, and one where its column is."""
    rows = torch.eye(h, dtype=like.dtype, device=like.device).repeat_interleave(w, 0)
    columns = torch.eye(w, dtype=like.dtype, device=like.device).repeat(h, 1)
    return torch.cat([rows, columns], -1)


class _PiecewiseAttention(torch.autograd.Function):
    """Attention over pieces of bounded size, recomputed in the backward pass (the idea of arXiv:2205.14135, sec. 3).

    PyTorch's own derivative keeps or rebuilds the (N, N) bias whenever the bias needs a gradient, and it does as soon
    as anything before the block is trained, because it depends on the queries.
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
        out = torch.empty_like(q)
        for n, rows, tokens in pieces(bias_h):
            bias = _bias(bias_h[n, rows], bias_w[n, rows])
            out[n, tokens] = F.scaled_dot_product_attention(q[None, n, tokens], k[None, n], v[None, n], bias[None])[0]
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        q, k, v, bias_h, bias_w = ctx.saved_tensors
        scale = 1 / math.sqrt(q.shape[-1])
        grad = grad.contiguous()
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        grad_h, grad_w = torch.empty_like(bias_h), torch.empty_like(bias_w)
        for n, rows, tokens in pieces(bias_h):
            q_piece, grad_piece = q[n, tokens], grad[n, tokens]
            # Keys and values gather gradients from all rows; those of the first replace what the memory held.
            seen = int(rows.start > 0)
            scores = _bias(bias_h[n, rows], bias_w[n, rows]).baddbmm_(q_piece, k[n].mT, alpha=scale)
            p = scores.softmax(-1, dtype=torch.promote_types(q.dtype, torch.float32)).to(q.dtype)  # (n, piece, N)
            grad_v[n].baddbmm_(p.mT, grad_piece, beta=seen)
            grad_scores = torch._softmax_backward_data(torch.bmm(grad_piece, v[n].mT), p, -1, q.dtype)
            grad_q[n, tokens] = torch.bmm(grad_scores, k[n]).mul_(scale)
            grad_k[n].baddbmm_(grad_scores.mT, q_piece, beta=seen, alpha=scale)
            by_key = grad_scores.view(*bias_h[n, rows].shape, bias_w.shape[-1])  # (n, rows, W, H, W)
            grad_h[n, rows], grad_w[n, rows] = by_key.sum(-1), by_key.sum(-2)
        return grad_q, grad_k, grad_v, grad_h, grad_w


def pieces(bias_h: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Slices of heads, of grid rows, and of the tokens in these rows: several heads at once, or rows of one head."""
    heads, h, w, _ = bias_h.shape
    budget = PIECE_CPU if bias_h.device.type == "cpu" else PIECE_ELSEWHERE
    per_head = (h * w) ** 2
    head_step = max(1, budget // per_head)
    row_step = max(1, budget * h // per_head)  # may reach beyond the last row, as the slices of heads do
    for first in range(0, heads, head_step):
        for row in range(0, h, row_step):
            yield (
                slice(first, first + head_step),
                slice(row, row + row_step),
                slice(row * w, (row + row_step) * w),
            )


def _bias(bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Row terms (n, R, W, H) and column terms (n, R, W, W) -> the bias (n, R * W, H * W)."""
    return (bias_h[..., :, None] + bias_w[..., None, :]).flatten(3).flatten(1, 2)
