"""`finetune`: train what a recipe describes and write the best epoch's adapter."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .ui import DataOfRecipe, Format, Overrides, Resume, check_outputs, format_override, messages

if TYPE_CHECKING:
    from ..training.finetune import FinetuneResult, SegmenterResult

EXAMPLE = "Example: `sam-mprompt finetune --recipe shb --data data/part_B --set train.epochs=100`"


def finetune(
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="Recipe name (see `recipes list`) or TOML file.")],
    data: DataOfRecipe = None,
    data_format: Format = None,
    base: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base instead of the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default runs/RECIPE.")] = None,
    overrides: Overrides = None,
    resume: Resume = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train prompt modules and a regressor on a frozen base; write the best epoch's adapter.

    Ctrl-C saves the state; --resume goes on to the same weights as an uninterrupted run.
    """
    from ..recipe.schema import load_recipe

    check_outputs(folder=out)
    wanted = [*(overrides or ()), *([f"model.base={json.dumps(base)}"] if base else ())]
    found = load_recipe(recipe, wanted)  # whoever misspelt something need not wait for torch
    if found.data.cache != "none":
        check_outputs(folder=Path(found.data.cache_root))
    wanted += format_override(found, wanted, data, data_format)

    from ..training.finetune import FinetuneResult, claimed_run
    from ..training.finetune import finetune as train
    from .training_display import TrainingDisplay

    with claimed_run(recipe, wanted, out, resume=resume) as (resolved, run), TrainingDisplay(messages()) as display:
        result = train(resolved, data=data, run=run, resume=resume, observer=display)
    if result is None:  # not the main process of a distributed run
        return
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    else:
        typer.echo(_counter(result) if isinstance(result, FinetuneResult) else _segmenter(result))


def _counter(result: "FinetuneResult") -> str:
    share = 100 * result.trainable / result.total
    return (
        f"validation MAE {result.val_mae:.2f} after epoch {result.epoch} "
        f"(predicting the mean: {result.mean_mae:.2f})\n"
        f"trained {result.trainable / 1e6:.2f} M of {result.total / 1e6:.2f} M parameters ({share:.1f} %)\n"
        f"adapter {result.adapter} ({result.adapter_bytes / 1e6:.1f} MB)\n"
        f"picture {result.overlay}"
    )


def _segmenter(result: "SegmenterResult") -> str:
    return (
        f"validation mask IoU {result.val_iou:.3f} after the last epoch\n"
        f"trained {result.trainable / 1e6:.2f} M of {result.total / 1e6:.2f} M parameters\n"
        f"next: sam-mprompt masks --source segmenter --run {result.run} --data DIR --out MASKS"
    )
