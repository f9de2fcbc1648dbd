"""What all commands share: options, tables, progress bars, and where messages go.

Results go to stdout and can be piped; progress and messages go to stderr.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..shown import shown

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Adapter = Annotated[
    str, typer.Argument(metavar="ADAPTER", help="Adapter folder, run folder, name, or hf://OWNER/NAME@REVISION.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Base = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base checkpoint instead of the recorded one.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Tiles per forward pass.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Dataset folder.")]
DataOfRecipe = Annotated[Path | None, typer.Option(metavar="DIR", help="Dataset folder instead of the recipe's.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, ..., openvino for an ONNX file; by default a GPU.")
]
Format = Annotated[str | None, typer.Option("--format", metavar="F", help="Layout on disk; recognised when not given.")]
Label = Annotated[
    str | None, typer.Option(metavar="NAME", help="Label whose marks are heads, where there are several.")
]
Columns = Annotated[
    str,
    typer.Option(
        metavar="x=A,y=B,image=C", help="Columns of a table of heads, where they have other names.", show_default=False
    ),
]
MaxPixels = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Most pixels decoded of an image (by default 2^28, or 2^30).")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
]
Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders of images, or globs; or a video.")]
Stretch = Annotated[bool, typer.Option("--stretch", help="Scale 16-bit images from the bits that each uses.")]
StretchOfAdapter = Annotated[
    bool | None,
    typer.Option("--stretch/--no-stretch", help="Scale 16-bit images from the bits they use; by default as trained."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run's saved state.")]

_UNBOUNDED = 1_000_000
"""Characters; more than any row has."""

Report = Callable[[int, int | None], None]
"""Called with (done, in all) while something is worked through."""


def messages() -> Console:
    """Return where progress and messages go."""
    return Console(stderr=True)


def say(console: Console, line: str) -> None:
    """Print one line of text as it is: no markup, no colours, no wrapping."""
    console.print(shown(line, lines=True), markup=False, highlight=False, soft_wrap=True)


def print_text(text: str) -> None:
    """Print a result on stdout; what would act on a terminal, as a strange name of a file may, is seen instead."""
    typer.echo(shown(text, lines=True))


def never_fail_on_characters() -> None:
    """Let stdout and stderr write what their encoding lacks with a backslash, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def progress(label: str, total: int | None = None, *, console: Console | None = None) -> Iterator[Report]:
    """Show a bar on a terminal, nothing elsewhere; yields what to call with (done, in all)."""
    with bar_on(console or messages()) as bar:
        task = bar.add_task(escape(shown(label)), total=total)
        yield lambda done, in_all: bar.update(task, completed=done, total=in_all)


def bar_on(console: Console, *columns: "ProgressColumn") -> AbstractContextManager["Progress"]:
    """Return a bar for a `with`, that shows on a terminal and goes with the block; it shows nothing elsewhere."""
    from rich.progress import Progress

    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    return nullcontext(bar) if bar.disable else bar  # older versions of rich end a disabled one with an empty line


class PlainTable(Table):
    """A table whose cells are text: markup and control characters in them are shown, not obeyed."""

    def add_row(self, *cells: RenderableType | None, **keywords: Any) -> None:
        """Add a row; strings are shown as they are."""
        super().add_row(*(Text(shown(cell)) if isinstance(cell, str) else cell for cell in cells), **keywords)


def table(*columns: str, right: tuple[str, ...] = ()) -> PlainTable:
    """Return a plain table without borders; columns named in `right` are set flush right."""
    made = PlainTable(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(Text(shown(column)), overflow="fold", justify="right" if column in right else "left")
    return made


class StreamedTable:
    """A table that is printed on stdout row by row, as its rows come; a terminal folds what is too long for it.

    Args:
        columns: headings, each with cells as wide as its widest one will be.
        right: columns that are set flush right.
    """

    def __init__(self, columns: Mapping[str, Sequence[str]], right: tuple[str, ...] = ()) -> None:
        self.columns, self.right, self.begun = tuple(columns), right, False
        self.widths = [max(cell_len(shown(cell)) for cell in (name, *cells)) for name, cells in columns.items()]

    def add_row(self, *cells: str) -> None:
        """Print a row, and before the first one the headings; cells are shown as they are."""
        if not self.begun:
            typer.echo(typer.style(self._line(self.columns), bold=True))
        self.begun = True
        typer.echo(self._line(cells))

    def _line(self, cells: Sequence[str]) -> str:
        padded = []
        for name, width, cell in zip(self.columns, self.widths, map(shown, cells), strict=True):
            blanks = " " * max(0, width - cell_len(cell))
            padded.append(blanks + cell if name in self.right else cell + blanks)
        return "  ".join(padded).rstrip()


def check_outputs(*files: Path | None, folder: Path | None = None) -> None:
    """Refuse, before any work, files and a folder that could not be written in its end; None is not asked for."""
    from ..files import check_output

    for file in files:
        if file is not None:
            check_output(file)
    if folder is not None:
        check_output(folder, "folder")


def recorded(adapter: str) -> str:
    """Return an adapter's name as results record it: one of the Hub with the commit, which is here then.

    Raises:
        UsageError, RunError: the Hub has none, or it could not be fetched.
    """
    from ..adapter.hub import pinned_name
    from ..bases.hub import hub_repo

    return adapter if hub_repo(adapter) is None else pinned_name(adapter)


def format_override(recipe: Any, overrides: Sequence[str], data: Path | None, given: str | None) -> list[str]:
    """Return the `data.format=F` that makes a recipe read a folder as what it is, none where it does so already.

    A format that the user gave decides, else that of the folder; the recipe's own holds where no folder was given, or
    none is there (whoever reads it says so, and a finished table needs none).
    """
    from ..files import is_folder

    if data is not None and is_folder(data):
        from ..data.sources import format_of
        from ..recipe.overrides import overridden

        if given is None and overridden(overrides, "data.format"):
            given = recipe.data.format
        given = format_of(recipe.data, data, given)
    return [] if given in (None, recipe.data.format) else [f"data.format={given}"]


def marks_override(label: str | None, columns: str) -> list[str]:
    """Return the keys of a recipe's data that --label and --columns stand for."""
    given = {"data.label": label, "data.columns": columns}
    return [f"{key}={json.dumps(value)}" for key, value in given.items() if value]


def print_table(printed: Table, console: Console | None = None) -> None:
    """Print a table, by default on stdout: folded to the width of a terminal, in full lines where it is piped."""
    console = console or Console()
    if not console.is_terminal:
        widest = console.measure(printed, options=console.options.update(max_width=_UNBOUNDED)).maximum
        console = Console(file=console.file, width=max(widest, 1))
    console.print(printed)


def print_json(value: Any) -> None:
    """Print a value as indented JSON on stdout."""
    typer.echo(json.dumps(value, indent=2))
