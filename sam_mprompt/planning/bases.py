"""Rules: which base, and what of it trains, by what is on the machine."""

from dataclasses import dataclass
from typing import Any

from .machine import Machine
from .rows import Row

PHOTOGRAPHS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
"""Convolutional bases that have seen photographs, the lightest first."""

SAM = ("sam_vit_b", "sam_vit_l", "sam_vit_h")
BUNDLED = "sam-tiny"
SCRATCH = "mobilenetv3_small_100"

_SCRATCH_MINUTES = 10
"""From this long on, a light network from scratch has caught up with cached features."""


@dataclass(frozen=True)
class Way:
    """A way of training: a base with a method. The kinds differ in sizes, memory and steps, which other rules ask for.

    Attributes:
        kind: "photographs" (a convolutional base, all of it trains), "scratch" (the same without weights), "cached" (a
            frozen SAM base, run once an image) or "prompts" (prompt modules in a frozen SAM base).
        base: name of the base.
        stride: pixels of a density cell.
        size_divisor: crops and tiles are multiples of it.
        crop: the crop that is wanted where images and memory allow it.
        batch: likewise the batch.
        bytes_per_pixel: about what a training holds in memory for each pixel of a batch, rounded up.
        because: why this one.
    """

    kind: str
    base: str
    stride: int
    size_divisor: int
    crop: int
    batch: int
    bytes_per_pixel: int
    because: str


def way(machine: Machine, minutes: float, base: str | None = None) -> Way:
    """Choose base and method; a base that was asked for decides alone.

    1. SAM's weights and a GPU: prompt modules, the method that this package is about.
    2. A base that has seen photographs: all of it trains. On a CPU the lightest, on a GPU the strongest that is there.
    3. Ten minutes and more: a light network from scratch.
    4. Less: a side network on features of the bundled base, which are computed once an image.
    """
    if base is not None:
        return _asked(base, machine)
    sam = next((name for name in SAM if name in machine.bases), None)
    seen = [name for name in PHOTOGRAPHS if name in machine.bases]
    if machine.gpu and sam:
        return _prompts(sam, f"SAM's weights are here and so is a GPU ({machine.gpu}): the base stays as it is")
    if seen:
        chosen, why = (seen[-1], "the strongest here") if machine.gpu else (seen[0], "the lightest here, for a CPU")
        return _native(chosen, machine, f"it has seen photographs, and it is {why}: all of it trains")
    lacking = f"no base that has seen photographs is here ({PHOTOGRAPHS[0]} would be one)"
    if minutes >= _SCRATCH_MINUTES or machine.gpu or BUNDLED not in machine.bases:
        return _native(SCRATCH, machine, f"{lacking}; in {minutes:g} minutes a light network learns from scratch")
    return _cached(BUNDLED, f"{lacking}, and {minutes:g} minutes are short: the frozen base runs once an image")


def model_rows(chosen: Way) -> list[Row]:
    """Return the rows of the tables `model`, `tuning` and `loss`."""
    rows = [Row("model.base", chosen.base, chosen.because)]
    if chosen.kind in ("photographs", "scratch"):
        rows.insert(0, Row("model.encoder", "timm", "a convolutional network: a crop costs what its pixels cost"))
    rows.append(Row("model.density_stride", chosen.stride, "heads per cell of this side are predicted"))
    return rows + [Row(key, value, because) for key, value, because in _SETTINGS[chosen.kind]]


def _asked(base: str, machine: Machine) -> Way:
    because = "it was asked for"
    if base in (*PHOTOGRAPHS, SCRATCH):
        return _native(base, machine, because)
    return _prompts(base, because) if machine.gpu else _cached(base, because)


def _native(base: str, machine: Machine, because: str) -> Way:
    kind = "scratch" if base == SCRATCH else "photographs"
    crop, batch = (448, 16) if machine.gpu else (320, 4)
    return Way(kind, base, 8, 32, crop, batch, 6_000, because)


def _cached(base: str, because: str) -> Way:
    return Way("cached", base, 8, 16, 224, 8, 2_000, because)


def _prompts(base: str, because: str) -> Way:
    return Way("prompts", base, 4, 16, 448, 8, 5_000, because)


_NO_SEGMENTER = "the segmenter costs a fifth of the time, and in short trainings pays less than more steps"
_CONVOLUTIONS: list[tuple[str, Any, str]] = [
    ("tuning.method", "full", "a light network: all of it trains"),
    ("loss.segmentation", 0.0, _NO_SEGMENTER),
    ("loss.context", 0.0, "it needs the segmenter"),
    ("train.optimizer", "muon", "it lowers the training loss in half of AdamW's epochs"),
    ("train.lr", 2e-3, "Muon's steps have the same size in every layer; this one served all CPU recipes"),
    ("train.weight_decay", 1e-2, "as in the CPU recipes"),
]
_SETTINGS: dict[str, list[tuple[str, Any, str]]] = {
    "photographs": [
        ("model.levels", [8, 16], "what a head looks like and what surrounds it; coarser levels see whole crops"),
        *_CONVOLUTIONS,
    ],
    "scratch": [
        ("model.pretrained", False, "nothing is fetched"),
        ("model.levels", [16], "it sees what surrounds a head"),
        ("model.stem_channels", 48, "convolutions of their own see a head at full resolution"),
        ("model.stem_blocks", 6, "and tell it from what looks like one"),
        *_CONVOLUTIONS,
    ],
    "cached": [
        ("model.stem_channels", 48, "a token of 16 pixels covers several heads; convolutions keep them apart"),
        ("model.stem_blocks", 6, "they tell a head from what looks like one"),
        ("tuning.method", "side", "a network beside the frozen base, whose features are computed once"),
        ("tuning.bottleneck", 64, "as in the CPU recipes"),
        ("loss.segmentation", 0.0, _NO_SEGMENTER),
        ("loss.context", 0.0, "it needs the segmenter"),
        ("train.optimizer", "muon", "it lowers the training loss in half of AdamW's epochs"),
        ("train.lr", 2e-3, "as in the CPU recipes"),
        ("train.weight_decay", 1e-2, "as in the CPU recipes"),
    ],
    "prompts": [
        ("tuning.method", "prompt", "a few percent of the parameters train: few images do not spoil the base"),
        ("train.optimizer", "adam", "as in the paper"),
        ("train.lr", 1e-4, "as in the paper"),
    ],
}
