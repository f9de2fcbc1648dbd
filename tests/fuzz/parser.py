"""What a parser is to the fuzzers: the call that reads a file, and the place where such a file lies."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .annotations import write

CORPUS = Path(__file__).parent / "corpus"
"""Files that parsers are tried with, a folder each: `FAMILY/NAME`."""


@dataclass(frozen=True)
class Parser:
    """One way in for what others wrote.

    Attributes:
        read: reads the file. What it may raise is a `SamMpromptError`; its value is of no interest.
        suffixes: under which a content is tried; a file of the corpus has its own.
        called: the file without its suffix, below a folder of its own.
        around: what lies there beside it, by path.
    """

    read: Callable[[Path], object]
    suffixes: tuple[str, ...]
    called: str = "a"
    around: Callable[[], Mapping[str, Any]] = dict

    def prepare(self, folder: Path) -> None:
        """Write what lies beside the file."""
        for name, content in self.around().items():
            write(folder / name, content)

    def place(self, folder: Path, content: bytes, suffix: str) -> Path:
        """Write the file and return it."""
        path = folder / f"{self.called}{suffix}"
        path.write_bytes(content)
        return path

    def fresh(self, folder: Path, content: bytes, suffix: str) -> Path:
        """Write the file in an empty folder, with what lies beside it, and return it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.prepare(folder)
        (folder / self.called).parent.mkdir(parents=True, exist_ok=True)
        return self.place(folder, content, suffix)


def corpus_of(name: str) -> list[Path]:
    """Return the files of a parser's corpus, in the order of their names."""
    folder = CORPUS / name
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
