"""Counting one 1024x768 image against CSRNet: python -m benchmarks.counting

CSRNet is what the package `lwcc` ships: the first ten convolutions of VGG16 and six dilated ones (Li et al. 2018,
https://arxiv.org/abs/1802.10062), here with random weights, on the whole image.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

_FRONT = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
_BACK = (512, 512, 512, 256, 128, 64)


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


def counter(recipe: str, *settings: str) -> nn.Module:
    """Return a recipe's counter without its segmenter, with random heads."""
    return build_counter(load_recipe(recipe, settings), segmenter=False).counter.eval()


def forward(model: Callable[[torch.Tensor], object], images: torch.Tensor) -> None:
    """Count once."""
    with torch.inference_mode():
        model(images)


def main() -> None:
    """Measure the whole image at its own resolution."""
    images = torch.randn(1, 3, 768, 1024)
    models = {
        "csrnet": csrnet(),
        "sam-tiny": counter("shb-tiny-prompt"),
        "native small": counter("shb-scratch"),
        "SAM-base": counter("shb", "model.base=random:vit_b"),
    }
    seconds = alternate({name: partial(forward, model, images) for name, model in models.items()}, rounds=3)
    write_row(
        "counting",
        [
            Result(
                f"counting a 1024x768 image, {name}",
                "CSRNet",
                Spread.of(seconds["csrnet"], seconds[name]),
                aim=None if name == "SAM-base" else 1.0,
            )
            for name in models
            if name != "csrnet"
        ],
    )


if __name__ == "__main__":
    main()
