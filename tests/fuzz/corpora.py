"""The corpus of every parser, its files changed in structure or damaged byte by byte."""

from pathlib import Path

from .attempt import Attempt
from .dice import Dice
from .parser import corpus_of
from .parsers import parsers

IMPORTS = ("sam_mprompt.cli.data_report", "sam_mprompt.data.check", "sam_mprompt.models.build", "peft")


def prepare(folder: Path) -> None:
    """Nothing: the corpus lies in the repository."""


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Change a file of the corpus and read it."""
    name = dice.pick(parsers())
    parser, seed = parsers()[name], dice.pick(corpus_of(name))
    path = parser.fresh(folder, dice.content(seed.read_bytes()), seed.suffix)
    return Attempt(f"{name}: {seed.name} changed", lambda: parser.read(path))
