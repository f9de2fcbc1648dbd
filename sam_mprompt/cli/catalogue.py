"""Commands that list, show and check what there is: adapters, recipes, checkpoints, data."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..errors import UsageError

adapters = typer.Typer(help="List, show and verify trained adapters.", no_args_is_help=True)
recipes = typer.Typer(help="List, show and copy recipes.", no_args_is_help=True)
checkpoints = typer.Typer(help="List, fetch and verify base checkpoints.", no_args_is_help=True)
data = typer.Typer(help="Look at datasets before training.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


@adapters.command("list", epilog="Example: `sam-mprompt adapters list --json`")
def list_adapters(as_json: AsJson = False) -> None:
    """List the adapters of ./runs, ./adapters and those that ship with sam-mprompt."""
    from ..adapter.find import known_adapters
    from ..adapter.folder import read_info

    rows = []
    for name, path in known_adapters().items():
        try:
            info = read_info(path)
            rows.append({"name": name, "path": str(path), "base": info.base, "dtype": info.dtype, "fault": ""})
        except UsageError as error:
            rows.append({"name": name, "path": str(path), "base": "", "dtype": "", "fault": str(error)})
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = _table("name", "base", "dtype", "path", "fault")
    for row in rows:
        table.add_row(row["name"], row["base"], row["dtype"], row["path"], row["fault"])
    Console().print(table if rows else "No adapters yet: train one with 'sam-mprompt finetune --recipe NAME'.")


@adapters.command("show", epilog="Example: `sam-mprompt adapters show runs/shb`")
def show_adapter(adapter: Annotated[str, typer.Argument(help="Folder or name.")], as_json: AsJson = False) -> None:
    """Show what an adapter is: base, geometry, parameters, figures."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import describe, read_adapter

    described = describe(read_adapter(find_adapter(adapter)))
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    table = _table("key", "value")
    for key, value in described.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value))
    Console().print(table)


@adapters.command("verify", epilog="Example: `sam-mprompt adapters verify adapters/shb --base sam_vit_b`")
def verify_adapter(
    adapter: Annotated[str, typer.Argument(help="Folder or name.")],
    base: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base instead of the recorded one.")] = None,
) -> None:
    """Check every file, checksum, key and shape of an adapter, and that it fits its base."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import load_adapter, read_adapter

    folder = read_adapter(find_adapter(adapter))
    built = load_adapter(folder, base)
    typer.echo(f"{folder.path}: intact, fits base {built.base.name} ({built.base.fingerprint})")


@recipes.command("list", epilog="Example: `sam-mprompt recipes list`")
def list_recipes(as_json: AsJson = False) -> None:
    """List the recipes of ./recipes and those that ship with sam-mprompt."""
    from ..recipe.find import recipe_files, summarise

    rows = [summarise(name, path) for name, path in recipe_files().items()]
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = _table("name", "base", "data", "about")
    for row in rows:
        table.add_row(row.name, row.base, row.data, row.about)
    Console().print(table)


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
    from ..recipe.find import find_recipe

    if to.suffix != ".toml":
        raise UsageError(f"Expected a file name that ends in .toml, got '{to}'.")
    if to.exists():
        raise UsageError(f"'{to}' exists already: choose another name.")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(find_recipe(name), to)
    typer.echo(str(to))


@data.command("check", epilog="Example: `sam-mprompt data check data/part_B --preview previews/`")
def check_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Dataset folder.")],
    data_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="Layout on disk; recognised when not given.")
    ] = None,
    preview: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw annotated images into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a dataset completely: heads per split, what is missing, unreadable or outside, pictures to look at."""
    from ..data.check import check, print_report, write_previews

    report = check(directory, data_format)
    if preview is not None:
        write_previews(report, preview)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report, Console())


@checkpoints.command("list", epilog="Example: `sam-mprompt checkpoints list`")
def list_checkpoints(as_json: AsJson = False) -> None:
    """List the registered base checkpoints and whether they are on this machine."""
    from ..bases.registry import listing

    rows = [
        {
            "name": status.checkpoint.name,
            "state": status.state,
            "bytes": status.checkpoint.size,
            "licence": status.checkpoint.licence,
            "path": str(status.path),
            "about": status.checkpoint.description,
        }
        for status in listing()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = _table("name", "state", "size", "licence", "path", "about")
    for row in rows:
        table.add_row(
            *(f"{int(str(value)) / 1e6:.0f} MB" if key == "bytes" else str(value) for key, value in row.items())
        )
    Console().print(table)


@checkpoints.command("pull", epilog="Example: `sam-mprompt checkpoints pull sam_vit_b`")
def pull_checkpoint(name: Annotated[str, typer.Argument(help="Registered name, see `checkpoints list`.")]) -> None:
    """Fetch a checkpoint, resuming an earlier attempt, and check its size and SHA-256."""
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    from ..bases.registry import pull

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        path = pull(name, progress=lambda done, total: progress.update(task, completed=done, total=total))
    typer.echo(str(path))


@checkpoints.command("verify", epilog="Example: `sam-mprompt checkpoints verify sam_vit_b`")
def verify_checkpoint(name: Annotated[str, typer.Argument(help="Registered name, see `checkpoints list`.")]) -> None:
    """Compare a checkpoint's file with the registered size and SHA-256."""
    from ..bases.registry import verify

    status = verify(name)
    if status.state != "ready":
        raise UsageError(f"Base '{name}' is {status.state}: {status.detail}")
    typer.echo(f"{status.path}: intact")


@data.command("synthesize", epilog="Example: `sam-mprompt data synthesize data/scenes --sheet scenes.png`")
def synthesize_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.")],
    train: Annotated[int, typer.Option(min=1, help="Scenes for training.")] = 100,
    val: Annotated[int, typer.Option(min=1, help="Scenes for validation.")] = 20,
    test: Annotated[int, typer.Option(min=1, help="Scenes for testing.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Which series of scenes.")] = 0,
    noise: Annotated[float, typer.Option(min=0, max=1, help="Annotation noise in train, share of a head.")] = 0.0,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw a contact sheet of train.")] = None,
) -> None:
    """Write procedural crowd scenes as a dataset of the 'points' format: to look at, count and train on."""
    from ..contact_sheet import contact_sheet
    from ..data.scenes.crowd import crowd_scene, write_dataset
    from ..render import save_image

    write_dataset(directory, seed=seed, splits={"train": train, "val": val, "test": test}, annotation_noise=noise)
    if sheet is not None:
        scenes = [crowd_scene(seed, index) for index in range(min(16, train))]
        captions = [f"{len(scene.points)} heads" for scene in scenes]
        save_image(sheet, contact_sheet([scene.image for scene in scenes], captions=captions))
    typer.echo(str(directory))
