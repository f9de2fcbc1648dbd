"""`checkpoints`: list, fetch and verify base checkpoints."""

from typing import Annotated

import typer

from ..errors import UsageError
from .ui import AsJson, print_json, print_table, progress, table

checkpoints = typer.Typer(help="List, fetch and verify base checkpoints.", no_args_is_help=True)


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
        print_json(rows)
        return
    shown = table("name", "state", "size", "licence", "path", "about")
    for row in rows:
        shown.add_row(
            *(f"{int(str(value)) / 1e6:.0f} MB" if key == "bytes" else str(value) for key, value in row.items())
        )
    print_table(shown)


@checkpoints.command("pull", epilog="Example: `sam-mprompt checkpoints pull sam_vit_b`")
def pull_checkpoint(name: Annotated[str, typer.Argument(help="Registered name, see `checkpoints list`.")]) -> None:
    """Fetch a checkpoint, resuming an earlier attempt, and check its size and SHA-256."""
    from ..bases.registry import pull

    with progress(name) as report:
        path = pull(name, progress=report)
    typer.echo(str(path))


@checkpoints.command("verify", epilog="Example: `sam-mprompt checkpoints verify sam_vit_b`")
def verify_checkpoint(name: Annotated[str, typer.Argument(help="Registered name, see `checkpoints list`.")]) -> None:
    """Compare a checkpoint's file with the registered size and SHA-256."""
    from ..bases.registry import verify

    status = verify(name)
    if status.state != "ready":
        raise UsageError(f"Base '{name}' is {status.state}: {status.detail}")
    typer.echo(f"{status.path}: intact")
