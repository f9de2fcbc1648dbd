"""Which adapters a service counts with, and the one place where they are loaded: on one base where they share it."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..counting.intervals import Calibration
from ..data.bounds import Reading
from ..errors import UsageError, did_you_mean
from .batcher import Counting

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_INNER = ("adapter",)
"""Folders whose own name says nothing: a run keeps its adapter in one."""

Load = Callable[[str], Any]
"""From an adapter's folder, run or name, or an exported file, to a counter that counts with it."""


@dataclass(frozen=True)
class Served:
    """One adapter of a service.

    Attributes:
        name: by which requests ask for it.
        counter: what counts with it, which others that share its base may count with too.
        inner: the counter's own name of it.
        calibration: what is known of its errors.
        reading: how images are decoded for it.
        source: where it was loaded from; for the log, not for clients.
    """

    name: str
    counter: Counting
    inner: str
    calibration: Calibration
    reading: Reading
    source: str


def named(arguments: Sequence[str]) -> dict[str, str]:
    """Return what is to be loaded by name, of arguments such as `gate=adapters/gate-7` or `adapters/gate-7`.

    Without a name an adapter is called as its folder or file; the one of a run as the run.

    Raises:
        UsageError: none at all, a name twice, or one that cannot stand in an address.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        name, given, path = argument.partition("=")
        if not given:
            name, path = _name_of(argument), argument
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"Expected the name of an adapter of up to 64 letters, digits, '.', '_' and '-', got '{name}'. Give "
                f"'{argument}' another one, as NAME=PATH."
            )
        if not path:
            raise UsageError(f"Expected an adapter behind the name, as NAME=PATH, got '{argument}'.")
        if name in found:
            raise UsageError(f"Two adapters are called '{name}': '{found[name]}' and '{path}'. Name one NAME=PATH.")
        found[name] = path
    if not found:
        raise UsageError("Expected at least one adapter, got none.")
    return found


def _name_of(path: str) -> str:
    parts = [part for part in Path(path).parts if part not in _INNER]
    return Path(parts[-1] if parts else path).name


def load_all(sources: Mapping[str, str], load: Load, known: Collection[Served] = ()) -> dict[str, Served]:
    """Load adapters, those of one base onto one; in their order, the first of which counts where none is asked for.

    Args:
        sources: where each lies, by the name that it is served under.
        load: how one is loaded alone.
        known: those that were loaded before, whose bases are shared.

    Raises:
        UsageError: one cannot be loaded.
    """
    counters: list[Any] = list({id(one.counter): one.counter for one in known}.values())
    served: dict[str, Served] = {}
    for number, (name, source) in enumerate(sources.items(), len(known)):
        inner = f"served_{number}"
        counter = next((other for other in counters if _joined(other, source, inner)), None)
        if counter is None:
            counter = load(source)
            counters.append(counter)
            inner = next(iter(counter.adapters))
        counter.use(inner)
        served[name] = Served(name, counter, inner, counter.calibration, counter.reading, source)
        counter.use(next(iter(counter.adapters)))
    return served


def _joined(counter: Any, source: str, inner: str) -> bool:
    """Put an adapter onto the base of a counter; whether that can be done, which a counter says by refusing it."""
    if not hasattr(counter, "load_adapter"):
        return False
    try:
        counter.load_adapter(source, name=inner)
    except UsageError:  # loaded alone it is told once more where it is the adapter that is wrong
        return False
    return True


def chosen(served: Mapping[str, Served], name: str | None) -> Served | None:
    """Return the adapter of a name, the first where none is given; None where there is none of that name."""
    return next(iter(served.values())) if name is None else served.get(name)


def no_such(served: Collection[str], name: str) -> str:
    """Say that there is no adapter of a name."""
    return f"No adapter '{name:.64}'.{did_you_mean(name, served)} There are: {', '.join(served)}."


def loader(
    *,
    device: str | None = None,
    base: str | None = None,
    precision: Any = "no",
    max_pixels: int | None = None,
    stretch: bool | None = None,
) -> Load:
    """Return what loads an adapter as `sam_mprompt.load` does."""

    def load_one(source: str) -> Any:
        from ..deploy.load import load

        return load(source, device=device, base=base, precision=precision, max_pixels=max_pixels, stretch=stretch)

    return load_one
