"""`describe`: what a counter costs, part by part."""

from typing import TYPE_CHECKING, Annotated

import typer

from .ui import AsJson, Overrides, print_json, print_table, table

if TYPE_CHECKING:
    from ..evaluation.cost import Cost

EXAMPLE = "Example: `sam-mprompt describe shb --size 448`"

_COLUMNS = ("parameters M", "trained M", "in the adapter M", "multiply-adds G")


def describe(
    name: Annotated[str, typer.Argument(metavar="RECIPE|ADAPTER", help="Recipe name or file, or an adapter.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the square image in pixels.")] = 224,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show what a counter costs, part by part: parameters, multiply-adds, and memory while training."""
    from ..adapter.find import recipe_behind
    from ..evaluation.cost import measure_cost
    from ..recipe.schema import load_recipe

    recipe = load_recipe(recipe_behind(name), overrides or ())
    loss = recipe.loss
    cost = measure_cost(
        recipe.model, recipe.tuning, (size, size), segmenter=loss.segmentation > 0, bins=loss.block_bins
    )
    if as_json:
        print_json(cost.as_dict())
    else:
        _print_cost(cost)


def _print_cost(cost: "Cost") -> None:
    height, width = cost.size
    shown = table(f"{width}x{height} px", *_COLUMNS, right=_COLUMNS)
    for name, parts in [*((part.name, [part]) for part in cost.parts), ("all", list(cost.parts))]:
        millions = (sum(getattr(part, key) for part in parts) / 1e6 for key in ("total", "trainable", "stored"))
        shown.add_row(name, *(f"{number:.2f}" for number in millions), f"{sum(part.macs for part in parts) / 1e9:.2f}")
    print_table(shown)
    typer.echo(f"kept for the backward pass on a CPU: {cost.activations / 1e6:.0f} MB an image")
