"""A training step of SAM-base with prompt modules, ours against the usual way: python -m benchmarks.training_step

The usual way, as public adapter projects do it: `segment_anything`'s encoder with the same bottlenecks behind attention
and MLP of every block, its attention materialised; once with everything under autograd, where frozen weights get
gradients that no optimizer uses, and once with frozen weights excluded from it. Crops of 448 pixels, batches of two,
random weights. All steps go forward and backward through the encoder to the prompt modules.
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
from sam_mprompt.models.acceleration import compile_encoder, enable_gradient_checkpointing
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import attach

_SIDE, _BATCH, _WIDTH = 448, 2, 192
_WHY = (
    "matrix products of the frozen weights are the same on both sides and are most of the work; attention, where ours "
    "differs, is little at this size. The input of each GELU and of each prompt module has to be kept on both sides. "
    "train.gradient_checkpointing gives time for memory."
)
_WHY_MEMORY = "what is kept for GELUs and prompt modules is the same on both sides; recomputed blocks keep none of it."


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
        block.attn, block.mlp = Bottleneck(block.attn, config.embed_dim), Bottleneck(block.mlp, config.embed_dim)
    return encoder


def usual() -> nn.Module:
    """Return SAM-base the usual way, at its best: frozen weights get no gradients."""
    return with_bottlenecks(CONFIGS["vit_b"], _SIDE)


def everything() -> nn.Module:
    """Return SAM-base the usual way with everything under autograd."""
    return usual().requires_grad_(True)


def ours() -> nn.Module:
    """Return our encoder with prompt modules."""
    return attach(SamEncoder.random(CONFIGS["vit_b"]), "prompt", bottleneck=_WIDTH)


def recomputed() -> nn.Module:
    """Return ours with `train.gradient_checkpointing`."""
    encoder = ours()
    enable_gradient_checkpointing(encoder)
    return encoder


def compiled() -> nn.Module:
    """Return ours with `train.compile`."""
    encoder = ours()
    compile_encoder(encoder)
    return encoder


_WAYS: dict[str, Callable[[], nn.Module]] = {
    "everything": everything,
    "frozen": usual,
    "ours": ours,
    "recomputed": recomputed,
    "compiled": compiled,
}


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
    step = step_of(_WAYS[name])
    before = peak_bytes()
    step()
    return peak_bytes() - before


def main() -> None:
    """Measure time in one process, memory in one each."""
    memory = {name: in_fresh_process(rise, name) for name in _WAYS}
    steps = {name: step_of(build) for name, build in _WAYS.items()}
    seconds = alternate(steps, rounds=3)
    limit = multiply_adds(steps["ours"]) / min(seconds["ours"]) / matrix_rate()
    what = f"training step, SAM-base with prompt modules, {_SIDE} px, batch {_BATCH}"
    against = {
        "everything": "segment_anything's encoder with the same modules, everything under autograd",
        "frozen": "the same, frozen weights excluded from autograd",
        "ours": "ours",
    }
    results = [
        Result(what, against["everything"], Spread.of(seconds["everything"], seconds["ours"]), aim=1.5, limit=limit),
        Result(what, against["frozen"], Spread.of(seconds["frozen"], seconds["ours"]), note=_WHY),
        Result(f"{what}, compiled", against["ours"], Spread.of(seconds["ours"], seconds["compiled"])),
        Result(f"{what}, recomputed", against["ours"], Spread.of(seconds["ours"], seconds["recomputed"])),
    ]
    for better, worse in (("ours", "everything"), ("ours", "frozen"), ("compiled", "ours"), ("recomputed", "frozen")):
        saved = memory[worse] / memory[better]
        aim = 2.0 if worse == "everything" else None
        label = "" if better == "ours" else f", {better}"
        results.append(
            Result(
                f"its peak memory above the weights{label}",
                against[worse],
                Spread(saved, saved, saved),
                aim=aim,
                note=_WHY_MEMORY if aim else "",
            )
        )
    write_row("training_step", results)


if __name__ == "__main__":
    main()
