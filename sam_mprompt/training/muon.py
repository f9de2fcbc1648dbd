"""Muon: weight matrices and kernels step along their orthogonalised momentum; everything else is AdamW's."""

import math
from collections.abc import Callable
from typing import Any

import torch
from timm.optim.muon import zeropower_via_newtonschulz
from torch import Tensor
from torch.optim import AdamW

_MOMENTUM = 0.95
_NEWTON_SCHULZ = [(3.4445, -4.7750, 2.0315)]
_STEPS = 5
_ADAM_RMS = 0.2  # of a typical AdamW update, so that one learning rate serves both kinds (arXiv:2502.16982, sec. 2.2)


class Muon(AdamW):
    """AdamW in which parameter groups with `"orthogonal": True` are stepped by Muon.

    Source: https://kellerjordan.github.io/posts/muon/ with the scale of arXiv:2502.16982; the orthogonalisation is
    timm's (Apache-2.0), run in float32: timm's and torch's own optimizers use bfloat16, which CPUs without AMX multiply
    fifty times slower.

    Args:
        groups: parameter groups; those with `"orthogonal": True` hold matrices (out, in) and kernels (out, in, h, w)
            only. A kernel is stepped as the matrix (out, in h w).
        options: of AdamW; `lr` and `weight_decay` apply to both kinds.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        super().__init__([{"orthogonal": False} | group for group in groups], **options)

    # Ignored below: torch declares `step` as two overloads, which one signature with an optional closure serves.
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; matrices' gradients are used up, so that AdamW's own step passes them over."""
        for group in self.param_groups:
            for weight in group["params"] if group["orthogonal"] else ():
                if weight.grad is not None:
                    update = self._orthogonal(weight, weight.grad)
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(update, alpha=-group["lr"] * _ADAM_RMS * math.sqrt(max(weight.flatten(1).shape)))
                    weight.grad = None
        return super().step(closure)

    def _orthogonal(self, weight: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            # AdamW's loading expects a step count in every state.
            state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
        state["step"] += 1
        momentum = state["momentum"]
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM)  # Nesterov
        matrix = ahead.flatten(1)
        return zeropower_via_newtonschulz(matrix, _STEPS, _NEWTON_SCHULZ, dtype=torch.float32).view_as(weight)
