"""The base checkpoints that have a name: what each is, and where it is published. Imports no torch."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, did_you_mean
from ..resources import bundled
from .hub import HubRepo, hub_repo

_EXPECTED = {"file": str, "licence": str, "description": str}
_OPTIONAL = {
    "size": int, "sha256": str, "url": str, "hub": str, "same_as": str, "package": str, "timm": str, "aliases": list,
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """An entry of the registry, or what a name such as "hf:OWNER/NAME" says by itself.

    Attributes:
        name: what recipes and commands call it.
        file: its file's name.
        licence: SPDX identifier; empty when unknown.
        description: one line.
        size: bytes; None when unknown.
        sha256: of the whole file, 64 lower-case hexadecimal digits; empty when unknown.
        url: where it is published, if on a web server.
        hub: where it is published, if on Hugging Face's hub.
        same_as: "OWNER/NAME" of a repository of the hub with the same weights in a file of its own, for model cards.
        package: the Python package that carries it. Without url, hub and package it ships with sam-mprompt.
        timm: name of the timm model whose weights it holds; empty for a SAM.
        aliases: other names for it.
    """

    name: str
    file: str
    licence: str = ""
    description: str = ""
    size: int | None = None
    sha256: str = ""
    url: str = ""
    hub: HubRepo | None = None
    same_as: str = ""
    package: str = ""
    timm: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether it can be fetched."""
        return bool(self.url) or self.hub is not None

    @property
    def ships(self) -> bool:
        """Whether it comes with sam-mprompt itself."""
        return not self.published and not self.package

    @property
    def hub_id(self) -> str:
        """The repository of the hub that has these weights, "OWNER/NAME"; empty where none is known."""
        return self.same_as if self.hub is None else self.hub.repo

    @property
    def identity(self) -> str:
        """What is known to recognise the file by, in words."""
        size = "" if self.size is None else f"{self.size:,} bytes"
        return ", ".join(part for part in (size, self.sha256 and f"SHA-256 {self.sha256}") if part)


def read_registry(registry: Path | None = None) -> dict[str, Checkpoint]:
    """Read the registry, by default the one that ships with sam-mprompt. Its folder also holds the bundled files.

    Raises:
        UsageError: the file is missing or broken; the message names the entry.
    """
    path = registry_path(registry)
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # syntax, bytes, numbers of thousands of digits, depth
        raise UsageError(f"Cannot read the checkpoint registry '{path}': {error}.") from error
    return {name: _parse(path, name, entry) for name, entry in entries.items()}


def registry_path(registry: Path | None = None) -> Path:
    """Return the registry's file."""
    return registry or bundled("checkpoints") / "registry.toml"


def lookup(name: str, known: dict[str, Checkpoint]) -> Checkpoint | None:
    """Return the entry of a name, alias or file name; for a hub name that is not registered one that says only that.

    Raises:
        UsageError: a name that begins as one of the hub's and is none.
    """
    repo = hub_repo(name)
    name = name if repo is None else str(repo)
    found = next((entry for entry in known.values() if name in {entry.name, entry.file, *entry.aliases}), None)
    if found is None and repo is not None:
        return Checkpoint(name, repo.local_name, description="not registered", hub=repo)
    return found


def named(name: str, registry: Path | None = None) -> Checkpoint:
    """Return the entry of a name. Raises UsageError where there is none, with the closest."""
    known = read_registry(registry)
    entry = lookup(name, known)
    if entry is None:
        raise UsageError(
            f"No registered checkpoint '{name}'.{suggestion(name, known)} Expected one of {', '.join(known)}, "
            "or hf:OWNER/NAME."
        )
    return entry


def suggestion(name: str, known: dict[str, Checkpoint]) -> str:
    """Return "Did you mean ...?" for a misspelt name or alias."""
    return did_you_mean(name, [label for entry in known.values() for label in (entry.name, *entry.aliases)])


def _parse(path: Path, name: str, entry: object) -> Checkpoint:
    fields = dict(entry) if isinstance(entry, dict) else {}
    wrong = [key for key, kind in _EXPECTED.items() if not isinstance(fields.get(key), kind)]
    wrong += [key for key, kind in _OPTIONAL.items() if key in fields and not isinstance(fields[key], kind)]
    wrong += fields.keys() - _EXPECTED.keys() - _OPTIONAL.keys()
    if not wrong and "hub" not in fields:  # what is fetched from a web server, or ships, is always verified
        wrong = [key for key in ("size", "sha256") if key not in fields]
    if not wrong and not re.fullmatch(r"[0-9a-f]{64}", fields.get("sha256", 64 * "0")):
        wrong = ["sha256"]
    if not wrong and not re.match(r"https?://", fields.get("url", "https://")):
        wrong = ["url"]
    if not wrong and "hub" in fields:
        fields["hub"] = hub_repo(f"hf:{fields['hub']}")
    if wrong:
        raise UsageError(f"'{path}': [{name}] has a wrong, missing or unknown {', '.join(sorted(wrong))}.")
    return Checkpoint(name=name, **{**fields, "aliases": tuple(fields.get("aliases", ()))})
