"""Base checkpoints by name: which there are, where they are on this machine, and how to get them. Imports no torch."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import UsageError, did_you_mean
from ..files import sha256_of
from ..resources import bundled
from .download import Progress, download

_FOLDER_VARIABLE = "SAM_MPROMPT_CHECKPOINTS"
CHECKPOINT_SUFFIXES = {".pth", ".pt", ".safetensors"}
_RANDOM = re.compile(r"random:(?P<config>[^@]+)(@(?P<seed>\d+))?")


@dataclass(frozen=True)
class Checkpoint:
    """An entry of the registry.

    Attributes:
        name: what recipes and commands call it.
        file: its file's name.
        size: bytes.
        sha256: of the whole file, 64 lower-case hexadecimal digits.
        licence: SPDX identifier.
        description: one line.
        url: where it is published; None for a file that ships with sam-mprompt.
        aliases: other names for it.
    """

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    description: str
    url: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class RandomBase:
    """A base without a file: random weights of a named configuration ("random:tiny", "random:tiny@7")."""

    config: str
    seed: int = 0


@dataclass(frozen=True)
class Status:
    """Where a registered checkpoint stands on this machine.

    Attributes:
        checkpoint: the registry's entry.
        state: "ready", "missing", or "damaged" (its size, or in `verify` its SHA-256, is not the registry's).
        path: the file, or where it belongs while it is missing.
        detail: what is wrong and what to do about it; empty when ready.
    """

    checkpoint: Checkpoint
    state: Literal["ready", "missing", "damaged"]
    path: Path
    detail: str = ""


def checkpoint_folder() -> Path:
    """Return where checkpoints are kept: $SAM_MPROMPT_CHECKPOINTS, else ~/.cache/sam-mprompt/checkpoints."""
    chosen = os.environ.get(_FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "sam-mprompt" / "checkpoints"


def read_registry(registry: Path | None = None) -> dict[str, Checkpoint]:
    """Read the registry, by default the one that ships with sam-mprompt. Its folder also holds the bundled files.

    Raises:
        UsageError: the file is missing or broken; the message names the entry.
    """
    path = _registry_path(registry)
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"Cannot read the checkpoint registry '{path}': {error}.") from error
    return {name: _parse(path, name, entry) for name, entry in entries.items()}


def resolve(base: str | Path, *, registry: Path | None = None) -> Path | RandomBase:
    """Find a base on this machine: an existing file, else a registered name, alias or file name, else random weights.

    A registered checkpoint is looked for beside the registry and then in `checkpoint_folder()`; only its size is
    compared here (`verify` compares the SHA-256).

    Raises:
        UsageError: no such file or name, not downloaded yet, or of the wrong size; the message says what to do.
    """
    path = Path(base).expanduser()
    if path.is_file():
        return path
    if str(base).startswith("random:"):
        return _parse_random(str(base))
    known = read_registry(registry)
    entry = _lookup(str(base), known)
    if entry is None:
        if path.suffix in CHECKPOINT_SUFFIXES or path.is_dir() or len(path.parts) > 1:
            what = "is a folder" if path.is_dir() else "does not exist"
            raise UsageError(f"'{base}' {what}: expected a checkpoint file, or one of {_names(known)}.")
        raise UsageError(f"No base '{base}'.{_suggestion(str(base), known)} Expected a file or one of {_names(known)}.")
    status = _status(entry, _registry_path(registry).parent)
    if status.state != "ready":
        raise UsageError(f"Base '{entry.name}' is {status.state}: {status.detail}")
    return status.path


def fetch(base: str | Path, *, progress: Progress | None = None, registry: Path | None = None) -> Path | RandomBase:
    """Like `resolve`, but a registered checkpoint that is missing or damaged is downloaded first.

    Raises:
        UsageError, RunError: as `resolve` and `pull`.
    """
    entry = None if Path(base).expanduser().is_file() else _lookup(str(base), read_registry(registry))
    if entry is None or entry.url is None:
        return resolve(base, registry=registry)
    status = _status(entry, _registry_path(registry).parent)
    return status.path if status.state == "ready" else pull(entry.name, progress=progress, registry=registry)


def listing(*, registry: Path | None = None) -> list[Status]:
    """Return every registered checkpoint and whether it is here, judged by size alone."""
    return [_status(entry, _registry_path(registry).parent) for entry in read_registry(registry).values()]


def verify(name: str, *, registry: Path | None = None) -> Status:
    """Compare a registered checkpoint's file, whole, with the registry's size and SHA-256.

    Raises:
        UsageError: no such name.
    """
    status = _status(_named(name, registry), _registry_path(registry).parent)
    if status.state == "ready":
        found = sha256_of(status.path)
        if found != status.checkpoint.sha256:
            return _damaged(status.checkpoint, status.path, f"SHA-256 {found} instead of {status.checkpoint.sha256}")
    return status


def pull(name: str, *, progress: Progress | None = None, registry: Path | None = None) -> Path:
    """Make sure that a registered checkpoint is on this machine, whole, and return its path.

    What is there already is verified first; a damaged file in `checkpoint_folder()` is replaced. An interrupted
    download continues where it stopped.

    Args:
        name: a registered name, alias or file name.
        progress: called with (bytes done, bytes in all).
        registry: another registry than the one that ships with sam-mprompt.

    Raises:
        UsageError: no such name, a damaged bundled file, or the server cannot be reached (the message says which
            file to put where).
        RunError: the connection broke, the disk is full, or what arrived is not the registered file.
    """
    entry = _named(name, registry)
    status = verify(entry.name, registry=registry)
    if status.state == "ready":
        return status.path
    if entry.url is None:
        raise UsageError(f"Base '{entry.name}' is {status.state}: {status.detail}")
    target = checkpoint_folder() / entry.file
    download(entry.url, target, size=entry.size, sha256=entry.sha256, progress=progress)
    return target


def _registry_path(registry: Path | None) -> Path:
    return registry or bundled("checkpoints") / "registry.toml"


def _parse(path: Path, name: str, entry: object) -> Checkpoint:
    expected = {"file": str, "size": int, "sha256": str, "licence": str, "description": str}
    optional = {"url": str, "aliases": list}
    fields = entry if isinstance(entry, dict) else {}
    wrong = [key for key, kind in expected.items() if not isinstance(fields.get(key), kind)]
    wrong += [key for key, kind in optional.items() if key in fields and not isinstance(fields[key], kind)]
    wrong += fields.keys() - expected.keys() - optional.keys()
    if not wrong and not re.fullmatch(r"[0-9a-f]{64}", fields["sha256"]):
        wrong = ["sha256"]
    if not wrong and not re.match(r"https?://", fields.get("url", "https://")):
        wrong = ["url"]
    if wrong:
        raise UsageError(f"'{path}': [{name}] has a wrong, missing or unknown {', '.join(sorted(wrong))}.")
    return Checkpoint(name=name, **{**fields, "aliases": tuple(fields.get("aliases", ()))})


def _lookup(name: str, known: dict[str, Checkpoint]) -> Checkpoint | None:
    return next((entry for entry in known.values() if name in {entry.name, entry.file, *entry.aliases}), None)


def _named(name: str, registry: Path | None) -> Checkpoint:
    known = read_registry(registry)
    entry = _lookup(name, known)
    if entry is None:
        raise UsageError(
            f"No registered checkpoint '{name}'.{_suggestion(name, known)} Expected one of {', '.join(known)}."
        )
    return entry


def _suggestion(name: str, known: dict[str, Checkpoint]) -> str:
    return did_you_mean(name, [label for entry in known.values() for label in (entry.name, *entry.aliases)])


def _names(known: dict[str, Checkpoint]) -> str:
    return ", ".join([*known, "random:tiny"])


def _parse_random(base: str) -> RandomBase:
    parts = _RANDOM.fullmatch(base)
    if parts is None:
        raise UsageError(f"Expected random:CONFIG or random:CONFIG@SEED with a whole number as seed, got '{base}'.")
    return RandomBase(parts["config"], int(parts["seed"] or 0))


def _status(entry: Checkpoint, shipped: Path) -> Status:
    """Look for a checkpoint among the shipped files, then in the user's folder; a damaged one only counts last."""
    places = [folder / entry.file for folder in (shipped, checkpoint_folder())]
    found = [place for place in places if place.is_file()]
    for place in found:
        if place.stat().st_size == entry.size:
            return Status(entry, "ready", place)
    if found:
        return _damaged(entry, found[0], f"{found[0].stat().st_size:,} bytes instead of {entry.size:,}")
    if entry.url is None:
        return Status(entry, "missing", places[0], f"'{places[0]}' should ship with sam-mprompt. Install it again.")
    return Status(
        entry,
        "missing",
        places[1],
        f"not in '{places[0].parent}' or '{places[1].parent}'. Run 'sam-mprompt checkpoints pull {entry.name}', or "
        f"put {entry.file} ({entry.size:,} bytes, SHA-256 {entry.sha256}) into '{places[1].parent}'.",
    )


def _damaged(entry: Checkpoint, path: Path, why: str) -> Status:
    advice = f"Run 'sam-mprompt checkpoints pull {entry.name}'." if entry.url else "Install sam-mprompt again."
    return Status(entry, "damaged", path, f"'{path}' has {why}. {advice}")
