"""Training a native counter with weights laid out channels-last, or as PyTorch does: python -m benchmarks.speed.layout

Recipe `shb-scratch` as it is, on random crops; forward, loss and backward, without an optimizer.
"""

from collections.abc import Callable

import torch

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.losses import MutualPromptLoss, Targets
from sam_mprompt.models.acceleration import channels_last
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import Recipe, load_recipe


def step_of(recipe: Recipe, *, laid_out: bool) -> Callable[[], None]:
    """Return a function that takes a step."""
    torch.manual_seed(0)
    counter = build_counter(recipe.model, recipe.tuning, segmenter=True).counter.train()
    if laid_out:
        channels_last(counter)
    crop, batch = recipe.data.crop, recipe.train.batch_size
    cells = (batch, 1, crop // counter.stride, crop // counter.stride)
    images = torch.randint(0, 255, (batch, 3, crop, crop), dtype=torch.uint8)
    targets = Targets(torch.rand(cells) / 100, torch.rand(cells) > 0.5, torch.rand(cells) > 0.5)
    loss = MutualPromptLoss(recipe.loss, stride=counter.stride)

    def step() -> None:
        output = counter(counter.normalise(images))
        total = loss(output.density, output.mask_logits, targets, epoch=recipe.loss.kappa)["loss"]
        torch.autograd.backward(total)
        counter.zero_grad()

    return step


def measure(recipe: Recipe, rounds: int = 10) -> list[Result]:
    """Compare both layouts."""
    seconds = alternate({str(way): step_of(recipe, laid_out=way) for way in (False, True)}, rounds=rounds)
    what = f"training step of `{recipe.name}`, {recipe.data.crop} px, batch {recipe.train.batch_size}, channels last"
    return [Result(what, "PyTorch's default layout", Spread.of(*seconds.values()))]


if __name__ == "__main__":
    write_row("layout", measure(load_recipe("shb-scratch")))
