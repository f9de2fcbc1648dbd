"""`adapters`: list, show and verify trained adapters."""

import json
from typing import Annotated

import typer

from ..errors import UsageError
from .advice import advised
from .ui import AsJson, Base, print_json, print_table, table

adapters = typer.Typer(help="List, show and verify trained adapters.", no_args_is_help=True)


@adapters.command("list", epilog="Example: `sam-mprompt adapters list --json`")
def list_adapters(as_json: AsJson = False) -> None:
    """List the adapters of ./runs, ./adapters and those that ship with sam-mprompt."""
    from ..adapter.counter_file import read_counter_file
    from ..adapter.find import known_adapters

    rows = []
    for name, path in known_adapters().items():
        try:
            info = read_counter_file(path)
            rows.append({"name": name, "path": str(path), "base": info.base, "dtype": info.dtype, "fault": ""})
        except UsageError as error:
            rows.append({"name": name, "path": str(path), "base": "", "dtype": "", "fault": advised(error)})
    if as_json:
        print_json(rows)
        return
    shown = table("name", "base", "dtype", "path", "fault")
    for row in rows:
        shown.add_row(row["name"], row["base"], row["dtype"], row["path"], row["fault"])
    if rows:
        print_table(shown)
    else:
        typer.echo("No adapters yet: train one with 'sam-mprompt finetune --recipe NAME'.")


@adapters.command("show", epilog="Example: `sam-mprompt adapters show runs/shb`")
def show_adapter(adapter: Annotated[str, typer.Argument(help="Folder or name.")], as_json: AsJson = False) -> None:
    """Show what an adapter is: base, geometry, parameters, figures."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder

    described = AdapterFolder.read(find_adapter(adapter)).facts()
    if as_json:
        print_json(described)
        return
    shown = table("key", "value")
    for key, value in described.items():
        shown.add_row(key, value if isinstance(value, str) else json.dumps(value))
    print_table(shown)


@adapters.command("verify", epilog="Example: `sam-mprompt adapters verify adapters/shb --base sam_vit_b`")
def verify_adapter(
    adapter: Annotated[str, typer.Argument(help="Folder or name.")],
    base: Base = None,
) -> None:
    """Check every file, checksum, key and shape of an adapter, and that it fits its base."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder
    from ..adapter.loading import load_adapter

    folder = AdapterFolder.read(find_adapter(adapter))
    built = load_adapter(folder, base)
    typer.echo(f"{folder.path}: intact, fits base {built.base.name} ({built.base.fingerprint})")
