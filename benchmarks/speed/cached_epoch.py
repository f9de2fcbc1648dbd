"""Training from cached features against training through the encoder: python -m benchmarks.speed.cached_epoch

The same procedural images, crops of 448 pixels in batches of two, SAM-base with random weights (speed does not depend
on them): once with prompt modules in every block, once with a side network on features that were cached before, as
light as that of `shb-tiny-side`.
"""

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.data.scenes.crowd import write_dataset
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.loop import train_epoch
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.training.state import TrainingProgress


def opened(root: Path, name: str, settings: list[str], recipe_name: str = "shb") -> TrainingSession:
    """Return a training of the images in `root / "data"` that is ready for its first epoch."""
    recipe = load_recipe(recipe_name, settings)
    return TrainingSession.open(recipe, TrainingData.open(recipe, root / "data"), RunFolder(root / name))


def epoch(session: TrainingSession) -> None:
    """Step through every training image once, as `finetune` does, without validation."""
    session.batches.start(0)
    train_epoch(
        session.parts,
        session.loader,
        session.steps,
        session.recipe.train,
        TrainingProgress(),
        name_of=session.data.train.source.name,
        after_batch=lambda *_: None,
    )


def measure(base: str = "random:vit_b", crop: int = 448, images: int = 8, rounds: int = 3) -> list[Result]:
    """Measure one epoch of each, alternating."""
    shared = [f"model.base={base}", "data.format=points", f"data.crop={crop}", "data.jitter=0"]
    shared += ["train.batch_size=2", "train.workers=0"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root / "data", seed=0, splits={"train": images, "val": 1}, size=(crop, crop))
        cached = ["tuning.method=side", "tuning.bottleneck=64", "data.cache=features"]
        sessions = {
            "prompt": opened(root, "prompt", [*shared, "tuning.method=prompt"]),
            "side": opened(root, "side", [*shared, *cached, f"data.cache_root={root / 'cache'}"]),
        }
        seconds = alternate({name: partial(epoch, session) for name, session in sessions.items()}, rounds=rounds)
    return [
        Result(
            f"epoch from cached features (side network), SAM-base, {crop} px",
            "epoch through the encoder (prompt modules)",
            Spread.of(seconds["prompt"], seconds["side"]),
            aim=40.0,
            note="the two heads are the same on both sides; beside the cache they are four fifths of what is left.",
        )
    ]


if __name__ == "__main__":
    write_row("cached_epoch", measure())
