"""`checkpoints`: list, fetch and verify base checkpoints."""

from typing import TYPE_CHECKING, Annotated

import typer

from .ui import AsJson, print_json, print_table, print_text, progress, table

if TYPE_CHECKING:
    from ..bases.locate import Status

checkpoints = typer.Typer(help="List, fetch and verify base checkpoints.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Registered name, see `checkpoints list`, or hf:OWNER/NAME.")]


@checkpoints.command("list", epilog="Example: `sam-mprompt checkpoints list`")
def list_checkpoints(as_json: AsJson = False) -> None:
    """List the registered base checkpoints and whether they are on this machine."""
    from ..bases.locate import listing

    rows = [
        {
            "name": status.checkpoint.name,
            "state": status.state,
            "bytes": _bytes(status),
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
        size = "unknown" if row["bytes"] is None else f"{int(str(row['bytes'])) / 1e6:.0f} MB"
        shown.add_row(*(size if key == "bytes" else str(value) for key, value in row.items()))
    print_table(shown)


@checkpoints.command("pull", epilog="Example: `sam-mprompt checkpoints pull sam_vit_b`")
def pull_checkpoint(name: Name) -> None:
    """Fetch a checkpoint, resuming an earlier attempt, and check its size and SHA-256 where they are known."""
    from ..bases.pull import pull

    with progress(name) as report:
        path = pull(name, progress=report)
    print_text(str(path))


@checkpoints.command("verify", epilog="Example: `sam-mprompt checkpoints verify sam_vit_b`")
def verify_checkpoint(name: Name) -> None:
    """Compare a checkpoint's file with the registered size and SHA-256."""
    from ..bases.locate import verify

    status = verify(name)
    if status.state != "ready":
        raise status.refusal()
    print_text(f"{status.path}: {status.detail or 'intact'}")


def _bytes(status: "Status") -> int | None:
    """Return a checkpoint's size: the registered one, else that of the file that is here, else None."""
    if status.checkpoint.size is None and status.state == "ready":
        return status.path.stat().st_size
    return status.checkpoint.size
