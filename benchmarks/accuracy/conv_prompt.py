"""Prompt modules of convolutions in a frozen EfficientNet-Lite0, against training all of it.

    python -m benchmarks.accuracy.conv_prompt --data DIR

Recipe `shb-lite0-full` on part B, its base trained whole, frozen, and frozen with a prompt module behind each block:
1x1 down, 3x3 depthwise, GELU, 1x1 up that starts at zero. It is tried here and is not in the package: what pays gets a
place there. Equal steps, and the seconds that they took. The figures are of validation; no test split is read. Prints
one line a run; DIR holds `shanghaitech/part_B`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from torch import Tensor, nn

from benchmarks.pages import parser
from sam_mprompt.models.build import BuiltCounter, build_counter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.finetune import FinetuneResult, finetune
from sam_mprompt.training.run import RunFolder

_WAYS = {"everything trains": None, "frozen": 0, "frozen, prompt modules of 32": 32, "frozen, prompt modules of 96": 96}


class ConvPrompt(nn.Module):
    """What is added to a block's output y (B, C, h, w): up(GELU(depthwise(down(y)))); nothing at first."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, bottleneck, 1)
        self.depthwise = nn.Conv2d(bottleneck, bottleneck, 3, padding=1, groups=bottleneck)
        self.up = nn.Conv2d(bottleneck, channels, 1)
        for zero in self.up.parameters():
            nn.init.zeros_(zero)

    def forward(self, y: Tensor) -> Tensor:
        """Return y with what is added to it."""
        prompted: Tensor = y + self.up(nn.functional.gelu(self.depthwise(self.down(y))))
        return prompted


@contextmanager
def prompted(bottleneck: int) -> Iterator[None]:
    """Let training put a prompt module behind every block of the encoders that it builds."""

    def build(*arguments: object, **named: object) -> BuiltCounter:
        built = build_counter(*arguments, **named)  # type: ignore[arg-type]
        stages = [module for name, module in built.counter.encoder.named_modules() if name.endswith("blocks")]
        blocks = [block for stage in stages[0].children() for block in stage.children()]
        for block in blocks:
            convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
            module = ConvPrompt(convolutions[-1].out_channels, bottleneck)
            block.prompt = module
            block.register_forward_hook(partial(_through, module))
        return built

    with patch("sam_mprompt.training.setup.build_counter", build):
        yield


def _through(module: ConvPrompt, _block: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    prompted: Tensor = module(output)
    return prompted


def train(way: str, seed: int, epochs: int, data: Path) -> FinetuneResult:
    """Train one way; its run lies in runs/conv_prompt."""
    bottleneck = _WAYS[way]
    settings = [f"train.seed={seed}", f"train.epochs={epochs}", f"loss.kappa={epochs // 4}", "train.validate_every=1"]
    if bottleneck is not None:
        settings.append("tuning.method=none")
    recipe = load_recipe("shb-lite0-full", settings)
    run = RunFolder(Path("runs") / "conv_prompt" / f"{way.replace(' ', '-').replace(',', '')}-{seed}")
    with prompted(bottleneck or 1) if bottleneck else patch.dict({}):
        result = finetune(recipe, data=data / "shanghaitech" / "part_B", run=run)
    assert isinstance(result, FinetuneResult)
    return result


def main() -> None:
    """Print a line per run."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder of the datasets")
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--seeds", type=int, default=1)
    options = arguments.parse_args()
    print("| way | seed | trains | validation MAE | NAE | seconds |\n|---|---|---|---|---|---|")
    for seed in range(options.seeds):
        for way in _WAYS:
            found = train(way, seed, options.epochs, options.data)
            cells = (way, seed, f"{found.trainable / 1e6:.2f} M", f"{found.val.mae:.2f}", f"{found.val.nae:.3f}")
            print("| " + " | ".join(map(str, cells)) + f" | {found.seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
