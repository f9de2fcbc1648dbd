"""Native counters with weights laid out channels-last, or as PyTorch does: python -m benchmarks.speed.layout

Training: recipe `shb-scratch` as it is, on random crops; forward, loss and backward, without an optimizer. Counting:
one tile of 1024x768 pixels, by networks with random weights.
"""

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.speed.pairs import Result, Spread, alternate, infer
from benchmarks.speed.table import write_row
from sam_mprompt.losses import MutualPromptLoss, Targets
from sam_mprompt.models.acceleration import channels_last
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import Recipe, load_recipe
from sam_mprompt.training.depthwise import depthwise_gradients


def step_of(recipe: Recipe, *, laid_out: bool) -> Callable[[], None]:
    """Return a function that takes a step, in the recipe's precision."""
    torch.manual_seed(0)
    counter = build_counter(recipe.model, recipe.tuning, segmenter=True).counter.train()
    if laid_out:
        channels_last(counter)
    crop, batch = recipe.data.crop, recipe.train.batch_size
    cells = (batch, 1, crop // counter.stride, crop // counter.stride)
    images = torch.randint(0, 255, (batch, 3, crop, crop), dtype=torch.uint8)
    targets = Targets(torch.rand(cells) / 100, torch.rand(cells) > 0.5, torch.rand(cells) > 0.5)
    loss = MutualPromptLoss(recipe.loss, stride=counter.stride)

    half = torch.autocast("cpu", torch.bfloat16, enabled=recipe.train.precision == "bf16")

    def step() -> None:
        with depthwise_gradients(torch.device("cpu"), recipe.train), half:
            output = counter(counter.normalise(images))
        total = loss(output.density, output.mask_logits, targets, epoch=recipe.loss.kappa)["loss"]
        torch.autograd.backward(total)
        counter.zero_grad()

    return step


_DEFAULT = "PyTorch's default layout"


def measure(recipe: Recipe, rounds: int = 10) -> list[Result]:
    """Compare both layouts in training."""
    seconds = alternate({str(way): step_of(recipe, laid_out=way) for way in (False, True)}, rounds=rounds)
    what = f"training step of `{recipe.name}`, {recipe.data.crop} px, batch {recipe.train.batch_size}, channels last"
    return [Result(what, _DEFAULT, Spread.of(*seconds.values()))]


def measure_counting(*names: str, height: int = 768, width: int = 1024, rounds: int = 10) -> list[Result]:
    """Compare both layouts in counting, for each recipe."""
    results = []
    for name in names:
        recipe = load_recipe(name, ("model.pretrained=false",))
        models = {
            laid_out: build_counter(recipe.model, recipe.tuning, segmenter=False).counter.eval()
            for laid_out in (False, True)
        }
        channels_last(models[True])
        image = torch.randn(1, 3, height, width)
        seconds = alternate({str(way): partial(infer, model, image) for way, model in models.items()}, rounds=rounds)
        what = f"counting {width}x{height} pixels, `{name}`, channels last"
        results.append(Result(what, _DEFAULT, Spread.of(*seconds.values())))
    return results


if __name__ == "__main__":
    write_row("layout", [*measure(load_recipe("shb-scratch")), *measure_counting("shb-scratch", "sha-lite0-full")])
