"""SAM-base with int8 linear layers on a CPU against float32: python -m benchmarks.quantised

Dynamic quantisation by `torch.ao`, through oneDNN: weights of the frozen linear layers are int8 per tensor, inputs are
quantised as they come; prompt modules, convolutions and attention's products stay float32. The error is that of the
bundled demo adapter's counts on procedural crowds that it never saw.
"""

import warnings
from functools import partial

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

import sam_mprompt
from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.data.scenes.crowd import crowd_scene
from sam_mprompt.models.sam_config import CONFIGS
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import attach

_SCENES = 24


def quantise(encoder: nn.Module) -> None:
    """Replace an encoder's linear layers, but not those of adapters in it, by int8 ones."""
    inside = [
        f"{path}.{name}."
        for path, module in encoder.named_modules()
        if isinstance(module, BaseTunerLayer)
        for name in module.adapter_layer_names
    ]
    names = {
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith(tuple(inside))
    }
    torch.backends.quantized.engine = "onednn"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao announces its end; see the note of the row
        torch.ao.quantization.quantize_dynamic(encoder, names, dtype=torch.qint8, inplace=True)


def count_difference() -> float:
    """Return the mean difference of the demo adapter's counts, as a share of the mean count."""
    images = [crowd_scene(7, index, (512, 512)).image for index in range(_SCENES)]
    counter = sam_mprompt.load("adapters/demo", device="cpu")
    before = np.array([counter.count(image).count for image in images])
    quantise(counter.model.encoder)
    after = np.array([counter.count(image).count for image in images])
    return float(np.abs(after - before).sum() / before.sum())


def encoder(int8: bool) -> nn.Module:
    """Return SAM-base with prompt modules and random weights."""
    built = attach(SamEncoder.random(CONFIGS["vit_b"]), "prompt").eval().requires_grad_(False)
    if int8:
        quantise(built)
    return built


def forward(model: nn.Module, images: torch.Tensor) -> None:
    """Encode once."""
    with torch.inference_mode():
        model(images)


def main() -> None:
    """Measure the time at two sizes, and the difference in counts once."""
    error = count_difference()
    models = {"float32": encoder(False), "int8": encoder(True)}
    results = []
    for side in (448, 1024):
        images = torch.randn(1, 3, side, side)
        seconds = alternate({name: partial(forward, model, images) for name, model in models.items()}, rounds=5)
        results.append(
            Result(
                f"int8 encoder, SAM-base with prompt modules, {side} px",
                "the same in float32",
                Spread.of(seconds["float32"], seconds["int8"]),
                aim=1.7,
                note=f"the demo adapter's counts differ by {100 * error:.2f} % on {_SCENES} procedural crowds; 1 % is "
                "the aim. No option of `count`: PyTorch is removing the API (`torch.ao`). What stands in "
                "the way of more: attention and prompt modules stay float32, and this CPU has no int8 products (VNNI).",
            )
        )
    write_row("quantised", results)


if __name__ == "__main__":
    main()
