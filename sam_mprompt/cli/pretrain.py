"""`pretrain`: train a small base, from scratch or from another one."""

from pathlib import Path
from typing import Annotated

import typer

from .ui import Overrides, Resume, check_outputs, messages, print_text

EXAMPLE = "Example: `sam-mprompt pretrain --recipe sam-tiny --set train.minutes=120`"


def pretrain(
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="Recipe in recipes/pretrain, or a TOML file.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default runs/RECIPE.")] = None,
    overrides: Overrides = None,
    resume: Resume = False,
) -> None:
    """Train a small base on procedural scenes without people: class-agnostic promptable segmentation.

    A recipe may start from another base, and name a teacher, whose features of scenes and photographs are learned.
    """
    check_outputs(folder=out)

    from ..pretraining.pretrain import pretrain as train
    from ..pretraining.recipe import load_pretrain_recipe
    from ..training.run import RunFolder
    from .training_display import TrainingDisplay

    resolved = load_pretrain_recipe(recipe, overrides or ())
    with RunFolder.claimed(resolved.name, out, resume=resume) as run, TrainingDisplay(messages()) as display:
        if resume:
            resolved = load_pretrain_recipe(run.recipe, overrides or ())
        checkpoint = train(resolved, run, resume=resume, observer=display)
    print_text(str(checkpoint))
