"""`finetune`: train what a recipe describes and write the best epoch's adapter."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .ui import DataOfRecipe, Format, Overrides, Resume, format_override, messages

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

    wanted = [*(overrides or ()), *([f"model.base={json.dumps(base)}"] if base else ())]
    found = load_recipe(recipe, wanted)  # whoever misspelt something need not wait for torch
    wanted += format_override(found, wanted, data, data_format)

    from ..training.finetune import finetune as train
    from ..training.finetune import prepare_run

    resolved, run = prepare_run(recipe, wanted, out, resume=resume)
    result = train(resolved, data=data, run=run, resume=resume, console=messages())
    if result is None:  # not the main process of a distributed run
        return
    typer.echo(json.dumps(result.as_dict()) if as_json else result.summary())
