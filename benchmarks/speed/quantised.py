"""SAM-base with int8 linear layers on a CPU against float32: python -m benchmarks.speed.quantised

Dynamic quantisation by `torch.ao`, through oneDNN: weights of the frozen linear layers are int8 per tensor, inputs are
quantised as they come; prompt modules, convolutions and attention's products stay float32. The error is that of the
bundled demo adapter's counts on procedural crowds that it never saw.
"""

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from benchmarks.speed.demo import demo
from benchmarks.speed.pairs import Result, Spread, alternate, infer
from benchmarks.speed.table import write_row
from sam_mprompt.data.scenes.crowd import crowd_scene
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import attach


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


def count_difference(scenes: int) -> float:
    """Return the mean difference of the demo adapter's counts, as a share of the mean count."""
    images = [crowd_scene(7, index, (512, 512)).image for index in range(scenes)]
    counter = demo()
    before = np.array([counter.count(image).count for image in images])
    quantise(counter.model.encoder)
    after = np.array([counter.count(image).count for image in images])
    return float(np.abs(after - before).sum() / before.sum())


def encoder(config: SamConfig, int8: bool) -> nn.Module:
    """Return an encoder with prompt modules and random weights."""
    built = attach(SamEncoder.random(config), "prompt").eval().requires_grad_(False)
    if int8:
        quantise(built)
    return built


def measure(
    config: SamConfig = CONFIGS["vit_b"], sides: Sequence[int] = (448, 1024), scenes: int = 24, rounds: int = 5
) -> list[Result]:
    """Measure the time at some sizes, and the difference in counts once."""
    error = count_difference(scenes)
    models = {"float32": encoder(config, False), "int8": encoder(config, True)}
    results = []
    for side in sides:
        images = torch.randn(1, 3, side, side)
        seconds = alternate({name: partial(infer, model, images) for name, model in models.items()}, rounds=rounds)
        results.append(
            Result(
                f"int8 encoder, SAM-base with prompt modules, {side} px",
                "the same in float32",
                Spread.of(seconds["float32"], seconds["int8"]),
                aim=1.7,
                note=f"the demo adapter's counts differ by {100 * error:.2f} % on {scenes} procedural crowds; 1 % is "
                "the aim. No option of `count`: PyTorch is removing the API (`torch.ao`). What stands in "
                "the way of more: attention and prompt modules stay float32, and this CPU has no int8 products (VNNI).",
            )
        )
    return results


if __name__ == "__main__":
    write_row("quantised", measure())
