"""Training a native counter with weights laid out channels-last, or as PyTorch does: python -m benchmarks.layout

Recipe `shb-scratch` as it is, on random crops; forward, loss and backward, without an optimizer.
"""

from collections.abc import Callable

import torch

from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.losses import MutualPromptLoss, Targets
from sam_mprompt.models.acceleration import channels_last
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

_RECIPE = load_recipe("shb-scratch")


def step_of(*, laid_out: bool) -> Callable[[], None]:
    """Return a function that takes a step."""
    torch.manual_seed(0)
    counter = build_counter(_RECIPE, segmenter=True).counter.train()
    if laid_out:
        channels_last(counter)
    crop, batch = _RECIPE.data.crop, _RECIPE.train.batch_size
    cells = (batch, 1, crop // counter.stride, crop // counter.stride)
    images = torch.randint(0, 255, (batch, 3, crop, crop), dtype=torch.uint8)
    targets = Targets(torch.rand(cells) / 100, torch.rand(cells) > 0.5, torch.rand(cells) > 0.5)
    loss = MutualPromptLoss(_RECIPE.loss, stride=counter.stride)

    def step() -> None:
        output = counter(counter.normalise(images))
        total = loss(output.density, output.mask_logits, targets, epoch=_RECIPE.loss.kappa)["loss"]
        torch.autograd.backward(total)
        counter.zero_grad()

    return step


def main() -> None:
    """Compare."""
    seconds = alternate({str(way): step_of(laid_out=way) for way in (False, True)}, rounds=10)
    what = f"training step of `shb-scratch`, {_RECIPE.data.crop} px, batch {_RECIPE.train.batch_size}, channels last"
    write_row("layout", [Result(what, "PyTorch's default layout", Spread.of(*seconds.values()))])


if __name__ == "__main__":
    main()
