"""Training from cached features against training through the encoder: python -m benchmarks.cached_epoch

The same procedural images, crops of 448 pixels in batches of two, SAM-base with random weights (speed does not depend
on them): once with prompt modules in every block, once with a side network on features that were cached before, as
light as that of `shb-tiny-side`.
"""

import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.data.scenes.crowd import write_dataset
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.session import Trainer

_IMAGES = 8
_SHARED = ("model.base=random:vit_b", "data.format=points", "data.crop=448", "data.jitter=0", "train.batch_size=2")


def epoch(trainer: Trainer) -> None:
    """Step through every training image once, as `finetune` does, without validation."""
    trainer.batches.start(0, 0)
    trainer.model.train()
    for number, batch in enumerate(trainer.loader):
        trainer._batch(batch, 0, number)


def main() -> None:
    """Measure one epoch of each, alternating."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root / "data", seed=0, splits={"train": _IMAGES, "val": 1}, size=(448, 448))
        settings = {
            "prompt": ("tuning.method=prompt",),
            "side": (
                "tuning.method=side",
                "tuning.bottleneck=64",
                "data.cache=features",
                f"data.cache_root={root / 'cache'}",
            ),
        }
        trainers = {
            name: Trainer(
                load_recipe("shb", [*_SHARED, "train.workers=0", *own]),
                root / "data",
                root / name,
                resume=False,
                console=Console(quiet=True),
            )
            for name, own in settings.items()
        }
        seconds = alternate({name: partial(epoch, trainer) for name, trainer in trainers.items()}, rounds=3)
    write_row(
        "cached_epoch",
        [
            Result(
                "epoch from cached features (side network), SAM-base, 448 px",
                "epoch through the encoder (prompt modules)",
                Spread.of(seconds["prompt"], seconds["side"]),
                aim=30.0,
                note="the two heads are the same on both sides; beside the cache they are four fifths of what is left.",
            )
        ],
    )


if __name__ == "__main__":
    main()
