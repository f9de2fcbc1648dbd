"""`finetune`: train what a recipe describes, or plan one, and write the adapter."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .plan import Minutes, Wanted, planned_for, print_plan, refuse_launcher
from .ui import (
    Columns,
    DataOfRecipe,
    Format,
    Label,
    Overrides,
    Resume,
    check_outputs,
    format_override,
    marks_override,
    messages,
    print_text,
)

if TYPE_CHECKING:
    from ..training.finetune import FinetuneResult, SegmenterResult

    Result = FinetuneResult | SegmenterResult | None

EXAMPLE = (
    "Examples: `sam-mprompt finetune --data photos --minutes 20`, "
    "`sam-mprompt finetune --recipe shb --data data/part_B --set train.epochs=100`"
)


def finetune(
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Recipe name (see `recipes list`) or TOML file; without one, a recipe is planned.",
        ),
    ] = None,
    data: DataOfRecipe = None,
    minutes: Minutes = None,
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    base: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base instead of the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default runs/RECIPE.")] = None,
    overrides: Overrides = None,
    resume: Resume = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train prompt modules and a regressor on a frozen base; write the best epoch's adapter.

    Without a recipe, `plan` makes one for --data. Ctrl-C saves the state; --resume goes on to the same weights as an
    uninterrupted run.
    """
    check_outputs(folder=out)
    settings = [*(overrides or ()), *marks_override(label, columns)]
    if recipe is None and data is None and resume and out is not None and (out / "recipe.toml").is_file():
        recipe = str(out / "recipe.toml")  # procedural scenes: the run says all that there is to say
    if recipe is None:
        if data is None:
            raise UsageError("Expected --recipe NAME, or --data DIR to plan a recipe for, got neither.")
        wanted = Wanted(data, minutes, data_format, base, tuple(settings))
        if resume and (minutes, data_format, base, label, columns) != (None, None, None, None, ""):
            raise UsageError(
                "Expected no --minutes, --format, --label, --columns or --base with --resume: the run has its plan."
            )
        result = _planned(wanted, out, resume=resume)
    else:
        if minutes is not None:
            raise UsageError("Expected --minutes without --recipe only: a recipe says how many epochs it trains.")
        result = _by_recipe(recipe, data, data_format, base, out, settings, resume=resume)
    if result is None:  # not the main process of a distributed run
        return
    from ..training.finetune import FinetuneResult

    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    else:
        print_text(_counter(result) if isinstance(result, FinetuneResult) else _segmenter(result))


def _by_recipe(
    recipe: str,
    data: Path | None,
    data_format: str | None,
    base: str | None,
    out: Path | None,
    overrides: list[str],
    *,
    resume: bool,
) -> "Result":
    from ..recipe.schema import load_recipe

    wanted = [*overrides, *([f"model.base={json.dumps(base)}"] if base else ())]
    found = load_recipe(recipe, wanted)  # whoever misspelt something need not wait for torch
    if found.data.cache != "none":
        check_outputs(folder=Path(found.data.cache_root))
    wanted += format_override(found, wanted, data, data_format)

    from ..training.finetune import claimed_run
    from ..training.finetune import finetune as train
    from .training_display import TrainingDisplay

    with claimed_run(recipe, wanted, out, resume=resume) as (resolved, run), TrainingDisplay(messages()) as display:
        return train(resolved, data=data, run=run, resume=resume, observer=display)


def _planned(wanted: Wanted, out: Path | None, *, resume: bool) -> "Result":
    """Train by a plan; a run that is resumed has one."""
    from ..files import write_text
    from ..planning.plan import recipe_name
    from ..recipe.schema import Recipe
    from ..training.finetune import claimed_run
    from ..training.finetune import finetune as train
    from .training_display import TrainingDisplay

    refuse_launcher()
    named = Recipe(name=recipe_name(wanted.data))
    with claimed_run(named, wanted.overrides, out, resume=resume) as (own, run), TrainingDisplay(messages()) as display:
        if not resume:
            planned = planned_for(wanted, display)
            print_plan(planned)
            write_text(run.plan, planned.to_toml())
            own = planned.recipe  # noqa: PLW2901 - the run's own recipe is only there to be resumed
        return train(own, data=wanted.data, run=run, resume=resume, observer=display)


def _counter(result: "FinetuneResult") -> str:
    share = 100 * result.trainable / result.total
    where = (
        f"MAE {result.val_mae:.2f} on images held out in {result.folds} folds"
        if result.folds
        else (f"validation MAE {result.val_mae:.2f} after epoch {result.epoch}")
    )
    warning = (
        ""
        if result.beats_the_mean
        else ("not to be relied on: it counts images that it did not see no better than who always says the mean\n")
    )
    licence = result.base_licence or "not known; whoever published its weights can tell"
    return (
        f"{where} (predicting the mean: {result.mean_mae:.2f})\n{warning}"
        f"trained {result.trainable / 1e6:.2f} M of {result.total / 1e6:.2f} M parameters ({share:.1f} %)\n"
        f"base {result.base}, licence {licence}\n"
        f"adapter {result.adapter} ({result.adapter_bytes / 1e6:.1f} MB)\n"
        f"picture {result.overlay}"
    )


def _segmenter(result: "SegmenterResult") -> str:
    return (
        f"validation mask IoU {result.val_iou:.3f} after the last epoch\n"
        f"trained {result.trainable / 1e6:.2f} M of {result.total / 1e6:.2f} M parameters\n"
        f"next: sam-mprompt masks --source segmenter --run {result.run} --data DIR --out MASKS"
    )
