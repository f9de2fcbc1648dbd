"""The error to expect of a counter that trained on every image: others train without a fold each, and count it."""

from accelerate import PartialState

from ..errors import Interrupted
from ..files import remove
from ..recipe.schema import Recipe
from .held_out import HeldOut, read_held_out, write_held_out
from .observer import Observer
from .run import RunFolder
from .session import TrainingSession
from .splits import TrainingData


def recipe_of_fold(recipe: Recipe) -> Recipe:
    """Return the recipe of a training that holds out a fold: train.fold_epochs long, validated once, at its end.

    So the held-out images choose nothing, and what they are counted as is what unseen images would be counted as.
    """
    train, loss = recipe.train, recipe.loss
    epochs = train.fold_epochs or train.epochs
    own = {"epochs": epochs, "validate_every": epochs, "folds": 0, "fold_epochs": 0, "preview_every": 0}
    kappa = {"kappa": round(loss.kappa * epochs / train.epochs)}
    return recipe.model_copy(update={"train": train.model_copy(update=own), "loss": loss.model_copy(update=kappa)})


def hold_out_folds(recipe: Recipe, data: TrainingData, run: RunFolder, observer: Observer) -> list[HeldOut]:
    """Train once without each fold, count the images of that fold, and keep the counts in `run.held_out`.

    Folds that are in that file already are not trained again, and one that was cut goes on. The folders of the
    trainings go when they are done.

    Args:
        recipe: of the training on all images.
        data: its images.
        run: its folder.
        observer: hears what happens.

    Raises:
        RunError: a loss became NaN or infinite, or the disk is full.
        Interrupted: stopped on request, with the state saved.
    """
    folds, own = recipe.train.folds, recipe_of_fold(recipe)
    rows, state = read_held_out(run.held_out), PartialState()
    for fold in range(1, folds + 1):
        part = data.held_out(fold, folds)
        assert part.val is not None, "a fold is held out"
        names = {part.val.source.name(index) for index in range(len(part.val.source))}
        if names == {row.image for row in rows if row.fold == fold}:
            continue
        observer.say(f"fold {fold} of {folds}: {len(names)} images are held out to tell the error")
        rows = [row for row in rows if row.fold != fold] + _counted(own, part, run, fold, observer)
        if state.is_main_process:
            write_held_out(run.held_out, rows)
            remove(run.fold(fold).path)
        state.wait_for_everyone()
    if state.is_main_process:
        remove(run.folds)
    return [row for row in rows if row.fold <= folds]


def _counted(recipe: Recipe, data: TrainingData, run: RunFolder, fold: int, observer: Observer) -> list[HeldOut]:
    """Train without a fold and return the counts of its images."""
    own = run.fold(fold)
    own.path.mkdir(parents=True, exist_ok=True)
    session = TrainingSession.open(recipe, data, own, resume=own.has_state, observer=observer)
    try:
        session.fit()
    except Interrupted as stopped:
        stopped.facts["run"] = run.path  # whoever goes on names the run, not a part of it
        raise
    return [HeldOut(row.image, fold, row.heads, row.counted) for row in read_held_out(own.held_out)]
