"""A training step of SAM-base with prompt modules, ours against the usual way: python -m benchmarks.training_step

The usual way, as public adapter projects do it: `segment_anything`'s encoder with the same bottlenecks behind attention
and MLP of every block, its attention materialised and everything under autograd. Crops of 448 pixels, batches of two,
random weights. Both steps go forward and backward through the encoder to the prompt modules.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.pairs import (
    Result,
    Spread,
    alternate,
    in_fresh_process,
    matrix_rate,
    multiply_adds,
    peak_bytes,
    write_row,
)
from benchmarks.sam_encoders import official
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import attach

_SIDE, _BATCH, _WIDTH = 448, 2, 192


class Bottleneck(nn.Module):
    """A sub-layer followed by Houlsby's adapter."""

    def __init__(self, sublayer: nn.Module, features: int) -> None:
        super().__init__()
        self.sublayer = sublayer
        self.down, self.up = nn.Linear(features, _WIDTH), nn.Linear(_WIDTH, features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.sublayer(x)
        return y + self.up(F.gelu(self.down(y)))


def with_bottlenecks(config: SamConfig, side: int) -> nn.Module:
    """Return `segment_anything`'s encoder with bottlenecks, all else frozen."""
    encoder = official(config, side).requires_grad_(False)
    for block in encoder.blocks:
        block.attn, block.mlp = Bottleneck(block.attn, config.dim), Bottleneck(block.mlp, config.dim)
    return encoder


def usual() -> nn.Module:
    """Return SAM-base the usual way."""
    return with_bottlenecks(CONFIGS["vit_b"], _SIDE)


def ours() -> nn.Module:
    """Return our encoder with prompt modules."""
    return attach(SamEncoder.random(CONFIGS["vit_b"]), "prompt", bottleneck=_WIDTH)


def step_of(build: Callable[[], nn.Module]) -> Callable[[], None]:
    """Return a function that takes a step, without an optimizer."""
    torch.manual_seed(0)
    encoder, images = build().train(), torch.randn(_BATCH, 3, _SIDE, _SIDE)

    def step() -> None:
        encoder(images).pow(3).mean().backward()
        for parameter in encoder.parameters():
            parameter.grad = None

    return step


def rise(name: str) -> int:
    """Return the bytes by which the peak of this process rises in one step."""
    step = step_of({"usual": usual, "ours": ours}[name])
    before = peak_bytes()
    step()
    return peak_bytes() - before


def main() -> None:
    """Measure time in one process, memory in one each."""
    memory = {name: in_fresh_process(rise, name) for name in ("usual", "ours")}
    steps = {"usual": step_of(usual), "ours": step_of(ours)}
    seconds = alternate(steps, rounds=3)
    limit = multiply_adds(steps["ours"]) / min(seconds["ours"]) / matrix_rate()
    against = "segment_anything's encoder with the same bottlenecks"
    saved = memory["usual"] / memory["ours"]
    write_row(
        "training_step",
        [
            Result(
                "training step, SAM-base with prompt modules, 448 px, batch 2",
                against,
                Spread.of(seconds["usual"], seconds["ours"]),
                aim=1.5,
                limit=limit,
            ),
            Result("its peak memory above the weights", against, Spread(saved, saved, saved), aim=2.0),
        ],
    )


if __name__ == "__main__":
    main()
