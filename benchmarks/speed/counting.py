"""Counting one 1024x768 image against CSRNet: python -m benchmarks.speed.counting

CSRNet is what the package `lwcc` ships: the first ten convolutions of VGG16 and six dilated ones (Li et al. 2018,
https://arxiv.org/abs/1802.10062), here with random weights, on the whole image.
"""

from functools import partial

import torch
from torch import nn

from benchmarks.speed.pairs import Result, Spread, alternate, infer
from benchmarks.speed.table import write_row
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

_FRONT = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
_BACK = (512, 512, 512, 256, 128, 64)
_OURS = {
    # name: recipe, --set, the least ratio that was aimed at
    "sam-tiny": ("shb-tiny-prompt", (), 1.0),
    "native small": ("shb-scratch", (), 1.0),
    "SAM-base": ("shb", ("model.base=random:vit_b",), None),
}


def csrnet() -> nn.Module:
    """Return CSRNet (configuration B) with random weights."""
    layers: list[nn.Module] = []
    width = 3
    for entry in _FRONT:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(width, entry, 3, padding=1), nn.ReLU(inplace=True)]
            width = entry
    for entry in _BACK:
        layers += [nn.Conv2d(width, entry, 3, padding=2, dilation=2), nn.ReLU(inplace=True)]
        width = entry
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1)).eval()


def counter(name: str) -> nn.Module:
    """Return one of ours without its segmenter, with random heads."""
    recipe, settings, _ = _OURS[name]
    loaded = load_recipe(recipe, settings)
    return build_counter(loaded.model, loaded.tuning, segmenter=False).counter.eval()


def measure(height: int = 768, width: int = 1024, rounds: int = 3) -> list[Result]:
    """Measure a whole image at its own resolution."""
    images = torch.randn(1, 3, height, width)
    models = {"CSRNet": csrnet(), **{name: counter(name) for name in _OURS}}
    seconds = alternate({name: partial(infer, model, images) for name, model in models.items()}, rounds=rounds)
    return [
        Result(
            f"counting a {width}x{height} image, {name}", "CSRNet", Spread.of(seconds["CSRNet"], seconds[name]), aim=aim
        )
        for name, (_, _, aim) in _OURS.items()
    ]


if __name__ == "__main__":
    write_row("counting", measure())
