"""Get a base that is not on this machine yet. Imports no torch."""

from pathlib import Path

from ..errors import RunError
from ..files import is_file, sha256_of
from .download import Progress, download
from .hub import HubRepo, download_from_hub
from .locate import RandomBase, checkpoint_folder, path_of, resolve, status_of, verify
from .registry import Checkpoint, lookup, named, read_registry


def fetch(base: str | Path, *, progress: Progress | None = None, registry: Path | None = None) -> Path | RandomBase:
    """Like `resolve`, but a published checkpoint that is missing or damaged is downloaded first.

    Raises:
        UsageError, RunError: as `resolve` and `pull`.
    """
    entry = None if is_file(path_of(base)) else lookup(str(base), read_registry(registry))
    if entry is None or not entry.published:
        return resolve(base, registry=registry)
    status = status_of(entry, registry)
    return status.path if status.state == "ready" else pull(entry.name, progress=progress, registry=registry)


def pull(name: str, *, progress: Progress | None = None, registry: Path | None = None) -> Path:
    """Make sure that a checkpoint is on this machine, whole, and return its path.

    What is there already is verified first; a damaged file in `checkpoint_folder()` is replaced. An interrupted
    download continues where it stopped. What comes from the hub stays in the hub's own cache.

    Args:
        name: a registered name, alias or file name, or "hf:OWNER/NAME".
        progress: called with (bytes done, bytes in all); the hub only tells when it is done.
        registry: another registry than the one that ships with sam-mprompt.

    Raises:
        UsageError: no such name, a damaged bundled file, or the server cannot be reached (the message says which
            file to put where).
        RunError: the connection broke, the disk is full, or what arrived is not the registered file.
    """
    entry = named(name, registry)
    status = verify(entry.name, registry=registry)
    if status.state == "ready":
        return status.path
    if entry.hub is not None:
        path = _from_hub(entry, entry.hub, progress)
        if status.state == "damaged" and status.path.parent == checkpoint_folder():
            status.path.unlink()  # it would be found before the whole one
        return path
    if not entry.url or entry.size is None:
        raise status.refusal()
    target = checkpoint_folder() / entry.file
    download(entry.url, target, size=entry.size, sha256=entry.sha256, progress=progress)
    return target


def _from_hub(entry: Checkpoint, repo: HubRepo, progress: Progress | None) -> Path:
    path = download_from_hub(repo)
    if entry.sha256 and (found := sha256_of(path)) != entry.sha256:
        raise RunError(
            f"'{path}', which the hub has as {repo}, has SHA-256 {found} instead of the registered {entry.sha256}. "
            "Delete it and fetch it again; if it stays so, its owner has replaced it: give an earlier one as "
            "hf:OWNER/NAME@REVISION."
        )
    if progress is not None:
        size = path.stat().st_size
        progress(size, size)
    return path
