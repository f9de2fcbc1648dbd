"""What all commands share: options, tables, progress bars, and where messages go.

Results go to stdout and can be piped; progress and messages go to stderr.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

Adapter = Annotated[str, typer.Argument(metavar="ADAPTER", help="Adapter folder, run folder, or an adapter's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Base = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base checkpoint instead of the recorded one.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Tiles per forward pass.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Dataset folder.")]
DataOfRecipe = Annotated[Path | None, typer.Option(metavar="DIR", help="Dataset folder instead of the recipe's.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; by default the GPU when there is one.")]
Format = Annotated[str | None, typer.Option("--format", metavar="F", help="Layout on disk; recognised when not given.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
]
Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders of images, or globs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run's saved state.")]

Report = Callable[[int, int | None], None]
"""Called with (done, in all) while something is worked through."""


def messages() -> Console:
    """Return where progress and messages go."""
    return Console(stderr=True)


def say(console: Console, line: str) -> None:
    """Print one line of text as it is: no markup, no colours, no wrapping."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(label: str, total: int | None = None, *, console: Console | None = None) -> Iterator[Report]:
    """Show a bar on a terminal, nothing elsewhere; yields what to call with (done, in all)."""
    from rich.progress import Progress

    console = console or messages()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done, in_all: bar.update(task, completed=done, total=in_all)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return a plain table without borders; columns named in `right` are set flush right."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return made


def format_override(recipe: Any, overrides: Sequence[str], data: Path | None, given: str | None) -> list[str]:
    """Return the `data.format=F` that makes a recipe read a folder as what it is, none where it does so already.

    A format that the user gave decides, else that of the folder; the recipe's own holds where no folder was given, or
    none is there (whoever reads it says so, and a finished table needs none).
    """
    if data is not None and data.is_dir():
        from ..data.sources import format_of
        from ..recipe.overrides import overridden

        if given is None and overridden(overrides, "data.format"):
            given = recipe.data.format
        given = format_of(recipe, data, given)
    return [] if given in (None, recipe.data.format) else [f"data.format={given}"]


def print_json(value: Any) -> None:
    """Print a value as indented JSON on stdout."""
    typer.echo(json.dumps(value, indent=2))
