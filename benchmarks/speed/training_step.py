"""A training step of SAM-base with prompt modules, ours against the usual way: python -m benchmarks.speed.training_step

The usual way, as public adapter projects do it: `segment_anything`'s encoder with the same bottlenecks behind attention
and MLP of every block, its attention materialised; once with everything under autograd, where frozen weights get
gradients that no optimizer uses, and once with frozen weights excluded from it. Crops of 448 pixels, batches of two,
random weights. All steps go forward and backward through the encoder to the prompt modules.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.speed.pairs import (
    Result,
    Spread,
    alternate,
    in_fresh_process,
    matrix_rate,
    multiply_adds,
    peak_rise,
)
from benchmarks.speed.sam_encoders import features_of, official
from benchmarks.speed.table import write_row
from sam_mprompt.models.acceleration import compile_encoder, enable_gradient_checkpointing
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import attach

_BATCH, _WIDTH = 2, 192
_WHY = (
    "products of the frozen weights are on both sides and most of our time; they run at nearly the rate of the limit, "
    "so that attention, norms and GELUs, where ours differs, are all that can be saved in float32. Tried: oneDNN's "
    "products (taken), pieces of attention of other sizes, torch.compile, large pages of memory."
)
_WHY_MEMORY = (
    "half of what ours keeps is queries, keys and values and the inputs of norms, which both sides keep. Much of the "
    "peak is memory that the C library has free between what is kept: made to return it at once "
    "(MALLOC_MMAP_THRESHOLD_), it has little, and steps take longer. "
    "train.gradient_checkpointing gives time for memory."
)


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


def frozen(config: SamConfig, side: int) -> nn.Module:
    """Return `segment_anything`'s encoder with bottlenecks, all else frozen: the usual way at its best."""
    encoder = official(config, side).requires_grad_(False)
    for block in cast(Any, encoder.blocks):
        block.attn, block.mlp = Bottleneck(block.attn, config.embed_dim), Bottleneck(block.mlp, config.embed_dim)
    return encoder


def everything(config: SamConfig, side: int) -> nn.Module:
    """Return the same with everything under autograd."""
    return frozen(config, side).requires_grad_(True)


def ours(config: SamConfig, side: int) -> nn.Module:  # noqa: ARG001 - it takes any size
    """Return our encoder with prompt modules."""
    return attach(SamEncoder.random(config), "prompt", bottleneck=_WIDTH)


def recomputed(config: SamConfig, side: int) -> nn.Module:
    """Return ours with `train.gradient_checkpointing`."""
    encoder = ours(config, side)
    enable_gradient_checkpointing(encoder)
    return encoder


def compiled(config: SamConfig, side: int) -> nn.Module:
    """Return ours with `train.compile`."""
    encoder = ours(config, side)
    compile_encoder(encoder)
    return encoder


WAYS: dict[str, Callable[[SamConfig, int], nn.Module]] = {
    "everything": everything,
    "frozen": frozen,
    "ours": ours,
    "recomputed": recomputed,
    "compiled": compiled,
}


def step_of(way: str, config: SamConfig = CONFIGS["vit_b"], side: int = 448) -> Callable[[], None]:
    """Return a function that takes a step, without an optimizer."""
    torch.manual_seed(0)
    encoder, images = WAYS[way](config, side).train(), torch.randn(_BATCH, 3, side, side)

    def step() -> None:
        features_of(encoder(images)).pow(3).mean().backward()
        for parameter in encoder.parameters():
            parameter.grad = None

    return step


def memory(way: str) -> int:
    """Return the bytes by which the peak of this process, which must be new, rises in one step."""
    return peak_rise(step_of(way))


def measure(rounds: int = 5) -> list[Result]:
    """Measure time in one process, memory in one each."""
    peaks = {way: in_fresh_process(memory, way) for way in WAYS}
    steps = {way: step_of(way) for way in WAYS}
    seconds = alternate(steps, rounds=rounds)
    limit = multiply_adds(steps["ours"]) / min(seconds["ours"]) / matrix_rate()
    what = f"training step, SAM-base with prompt modules, 448 px, batch {_BATCH}"
    against = {
        "everything": "segment_anything's encoder with the same modules, everything under autograd",
        "frozen": "the same, frozen weights excluded from autograd",
        "ours": "ours",
    }
    results = [
        Result(
            what,
            against["everything"],
            Spread.of(seconds["everything"], seconds["ours"]),
            aim=1.6,
            limit=limit,
            note=_WHY,
        ),
        Result(what, against["frozen"], Spread.of(seconds["frozen"], seconds["ours"]), aim=1.2),
        Result(f"{what}, compiled", against["ours"], Spread.of(seconds["ours"], seconds["compiled"])),
        Result(f"{what}, recomputed", against["ours"], Spread.of(seconds["ours"], seconds["recomputed"])),
    ]
    for better, worse in (("ours", "everything"), ("ours", "frozen"), ("compiled", "ours"), ("recomputed", "frozen")):
        aim = 2.5 if worse == "everything" else None
        label = "" if better == "ours" else f", {better}"
        results.append(
            Result(
                f"its peak memory above the weights{label}",
                against[worse],
                Spread.once(peaks[worse] / peaks[better]),
                aim=aim,
                note=_WHY_MEMORY if aim else "",
            )
        )
    return results


if __name__ == "__main__":
    write_row("training_step", measure())
