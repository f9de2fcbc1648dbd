"""What an examination says, and how text is made fit to be published: no user's name, no machine's, no secret."""

import getpass
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import SamMpromptError

Outcome = Literal["passed", "failed", "left out"]

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET = re.compile(r"\b(hf_\w{6,}|(?i:bearer|token|password)[ =:]+\S+)")
_COMMON = {"", "home", "root", "user", "users", "tmp", "usr", "var", "opt", "lib", "localhost"}
"""Names of folders, which a user or a machine may have as well: a path keeps them."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        error: what was expected and what was found, and what it is about.
        stops: whether nothing can be counted or trained because of it.
    """

    error: SamMpromptError
    stops: bool


@dataclass(frozen=True)
class Section:
    """What was found of one subject: names and values for a reader, and what of it is wrong."""

    title: str
    rows: dict[str, str]
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class Check:
    """How a self-test ended.

    Attributes:
        name: what was tried.
        outcome: "left out" where what it needs is not installed.
        said: what came out, in a line.
        seconds: how long it took.
        trace: of one that failed: where, outermost first.
    """

    name: str
    outcome: Outcome
    said: str
    seconds: float = 0.0
    trace: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**vars(self), "seconds": round(self.seconds, 2), "trace": list(self.trace)}


def anonymous(text: object, *, home: Path | None = None, user: str | None = None, machine: str | None = None) -> str:
    """Return text without what names its reader: the home folder is `~`, user and machine are USER and MACHINE.

    Passwords in addresses, and what looks like a token, are left out.

    Args:
        text: a string, or what `str` makes one of.
        home, user, machine: what to look for; by default those of this process.
    """
    found = str(text)
    home = _home() if home is None else home
    user = _user() if user is None else user
    machine = platform.node() if machine is None else machine
    if home is not None and home != Path(home.anchor):
        found = re.sub(rf"(?<![\w/\\.-]){re.escape(str(home))}(?![\w.-])", "~", found)
    for name in {user, home.name if home is not None else ""} - _COMMON:
        found = re.sub(rf"(?<=[/\\]){re.escape(name)}(?=[/\\'\"\s:]|$)", "USER", found)
    if machine.lower() not in _COMMON:
        found = re.sub(rf"\b{re.escape(machine)}\b", "MACHINE", found)
    return _SECRET.sub("(left out)", _CREDENTIALS.sub("(left out)@", found))


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # a user that the system does not know, as in some containers
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
