"""Where pages and records lie, and what every measurement writes its page and reads its command line with."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGES = Path(__file__).parent
RECORDS = PAGES / "records"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that ends with its last row."""
    return "\n".join([_line(heads), "|" + "---|" * len(heads), *map(_line, rows)])


def write_page(name: str, *parts: str) -> None:
    """Write `benchmarks/NAME.md` from parts with an empty line between them."""
    (PAGES / f"{name}.md").write_text("\n\n".join(part.strip("\n") for part in parts) + "\n", encoding="utf-8")


def parser(description: str | None) -> ArgumentParser:
    """Return a parser whose help is a module's docstring as it stands."""
    return ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
