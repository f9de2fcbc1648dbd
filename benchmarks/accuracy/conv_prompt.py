"""Prompt modules of convolutions in a frozen EfficientNet-Lite0, against the same base frozen without them.

    python -m benchmarks.accuracy.conv_prompt --data DIR              # what has no record yet, then the page
    python -m benchmarks.accuracy.conv_prompt --data DIR --table      # the page alone

Recipe `shb-lite0-full` on part B with its base frozen, and a prompt module behind each block: 1x1 down, 3x3 depthwise,
GELU, 1x1 up that starts at zero. It is tried here and is not in the package: what pays gets a place there. DIR holds
`shanghaitech/part_B`. Records: benchmarks/records/conv_prompt.jsonl; the page: benchmarks/conv_prompt.md.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

from torch import Tensor, nn

from benchmarks.pages import RECORDS, parser, table, write_page
from sam_mprompt.files import write_text
from sam_mprompt.models.build import BuiltCounter, build_counter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.finetune import FinetuneResult, finetune
from sam_mprompt.training.run import RunFolder

FILE = RECORDS / "conv_prompt.jsonl"
_WIDTHS = (0, 32, 96)
_HEAD = """# Prompt modules of convolutions

Written by `python -m benchmarks.accuracy.conv_prompt --data DIR` from `records/conv_prompt.jsonl`; do not edit.
EfficientNet-Lite0 with ImageNet's weights, frozen, and a prompt module (1x1, 3x3 depthwise, GELU, 1x1) behind each of
its blocks: recipe `shb-lite0-full` with `tuning.method=none`, a few epochs on part B, validated after each. The figures
are those of the best epoch; no test split was read. One thread of an x86_64 CPU, beside other work. The same recipe
with everything training, and the side network on the same frozen base, stand in [Accuracy](accuracy.md) at equal
seconds."""


@dataclass(frozen=True)
class Record:
    """One run: width of the prompt modules, 0 for none; trained parameters; heads per image on validation."""

    width: int
    seed: int
    epochs: int
    trainable: int
    val_mae: float
    val_nae: float
    seconds: float


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
def prompted(width: int) -> Iterator[None]:
    """Let training put a prompt module behind every block of the encoders that it builds."""

    def build(*arguments: object, **named: object) -> BuiltCounter:
        built = build_counter(*arguments, **named)  # type: ignore[arg-type]
        stages = [module for name, module in built.counter.encoder.named_modules() if name.endswith("blocks")]
        blocks = [block for stage in stages[0].children() for block in stage.children()]
        for block in blocks:
            convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
            module = ConvPrompt(convolutions[-1].out_channels, width)
            block.prompt = module
            block.register_forward_hook(partial(_through, module))
        return built

    with patch("sam_mprompt.training.setup.build_counter", build):
        yield


def _through(module: ConvPrompt, _block: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    prompted: Tensor = module(output)
    return prompted


def train(width: int, seed: int, epochs: int, data: Path) -> Record:
    """Train once; the run lies in runs/conv_prompt."""
    settings = [f"train.seed={seed}", f"train.epochs={epochs}", f"loss.kappa={epochs // 4}", "train.validate_every=1"]
    recipe = load_recipe("shb-lite0-full", [*settings, "tuning.method=none"])
    run = RunFolder(Path("runs") / "conv_prompt" / f"{width}-{seed}")
    with prompted(width) if width else nullcontext():
        result = finetune(recipe, data=data / "shanghaitech" / "part_B", run=run)
    assert isinstance(result, FinetuneResult)
    mae, nae = round(result.val.mae, 2), round(result.val.nae or 0.0, 3)
    return Record(width, seed, epochs, result.trainable, mae, nae, round(result.seconds))


def page(records: Sequence[Record]) -> None:
    """Write the page."""
    heads = ["prompt modules", "seed", "epochs", "trained parameters", "validation MAE", "NAE", "seconds"]
    rows = [
        [
            f"{own.width} wide" if own.width else "none",
            str(own.seed),
            str(own.epochs),
            f"{own.trainable / 1e6:.2f} M",
            f"{own.val_mae:.2f}",
            f"{own.val_nae:.3f}",
            f"{own.seconds:.0f}",
        ]
        for own in records
    ]
    write_page("conv_prompt", _HEAD, table(heads, rows))


def main() -> None:
    """Train what has no record, then write the page."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder of the datasets")
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--seeds", type=int, default=1)
    arguments.add_argument("--table", action="store_true", help="tabulate what there is")
    options = arguments.parse_args()
    lines = FILE.read_text().splitlines() if FILE.is_file() else []
    records = [Record(**json.loads(line)) for line in lines]
    done = {(own.width, own.seed, own.epochs) for own in records}
    for seed, width in [] if options.table else product(range(options.seeds), _WIDTHS):
        if (width, seed, options.epochs) not in done:
            records.append(train(width, seed, options.epochs, options.data))
            write_text(FILE, "".join(json.dumps(asdict(own)) + "\n" for own in records))
    page(records)


if __name__ == "__main__":
    main()
