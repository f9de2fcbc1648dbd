"""`recipes`: list, show and copy recipes."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .ui import AsJson, print_json, print_table, print_text, table

recipes = typer.Typer(help="List, show and copy recipes.", no_args_is_help=True)


@recipes.command("list", epilog="Example: `sam-mprompt recipes list`")
def list_recipes(as_json: AsJson = False) -> None:
    """List the recipes of ./recipes and those that ship with sam-mprompt, the recommended first."""
    from ..recipe.find import recipe_files, summarise

    rows = [summarise(name, path) for name, path in recipe_files().items()]
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    shown = table("name")
    shown.columns[0].min_width = max((len(row.name) for row in rows), default=0)
    shown.add_column("for", no_wrap=True, overflow="ellipsis")  # one line each, whatever a header says
    for row in rows:
        shown.add_row(row.name, row.about)
    print_table(shown)


@recipes.command("show", epilog="Example: `sam-mprompt recipes show nwpu --set train.epochs=5`")
def show_recipe(
    name: Annotated[str, typer.Argument(help="Recipe name or TOML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Show it with this override.")
    ] = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Every key with its value, defaults included.")] = False,
) -> None:
    """Print a recipe as it is written, or fully resolved."""
    from ..recipe.find import find_recipe
    from ..recipe.schema import load_recipe

    recipe = load_recipe(name, overrides or ())
    if resolved or overrides:
        typer.echo(recipe.to_toml(), nl=False)
    else:
        typer.echo(find_recipe(name).read_text(encoding="utf-8"), nl=False)


@recipes.command("copy", epilog="Example: `sam-mprompt recipes copy shb station.toml`")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="Recipe name.")],
    to: Annotated[Path, typer.Argument(help="New TOML file.")],
) -> None:
    """Copy a recipe to a file of your own, to be changed and given to `finetune --recipe`."""
    from ..files import check_output, write_with
    from ..recipe.find import find_recipe

    if to.suffix != ".toml":
        raise UsageError(f"Expected a file name that ends in .toml, got '{to}'.")
    check_output(to)
    if to.exists():
        raise UsageError(f"'{to}' exists already: choose another name.")
    source = find_recipe(name)
    write_with(to, lambda temporary: shutil.copyfile(source, temporary))
    print_text(str(to))
