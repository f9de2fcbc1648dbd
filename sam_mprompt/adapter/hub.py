"""Adapters on Hugging Face's Hub: "hf://OWNER/NAME@REVISION" is a folder in the Hub's own cache. Imports no torch.

What the Hub offers is looked at before anything is fetched: only files that an adapter can have, none larger than one
can be. What was fetched is read as every adapter is, which stays hostile until it was checked.
"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..bases.hub import HubRepo, hub_repo, quiet
from ..errors import HubWarning, RunError, SamMpromptError, UsageError
from ..files import write_text
from .contents import LARGEST
from .counter_file import COUNTER, read_counter_file

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

_NETWORK = ("httpx", "httpx2", "httpcore", "requests", "urllib3", "socket", "ssl")
"""Whose exceptions say that the Hub could not be reached; which one huggingface_hub uses depends on its version."""
_UNKNOWN, _FORBIDDEN = 401, 403
"""HTTP's: nobody knows who asks, and they may not."""


def fetch_adapter(repo: HubRepo) -> Path:
    """Return the folder of an adapter of the Hub, fetching what is not in the Hub's cache.

    A commit never changes, so that one which is in the cache is taken without a connection. A branch, a tag or no
    revision is what the Hub says it is now; where the Hub cannot be reached, what it last was. Without a revision a
    warning tells the commit.

    Args:
        repo: a repository and perhaps a revision.

    Raises:
        UsageError: no such repository, revision or adapter, files that no adapter has, terms that have to be accepted
            first, or no connection and nothing in the cache.
        RunError: the connection broke, or the disk is full.
    """
    here = cached_adapter(repo)
    if here is not None and repo.pinned:
        return here
    try:
        with _refusing(repo, "fetch"):
            offer = _offer(repo)
    except UsageError as error:
        if here is None or error.about != "hub away":
            raise
        _tell(f"{error} Took commit {here.name}, which was fetched before.")
        return here
    _check_offer(repo, offer)
    commit = HubRepo(repo.repo, offer.sha)
    with _refusing(commit, "fetch"):
        folder = _download(commit)
    if not repo.pinned:
        _remember(repo, folder)
    if repo.revision is None:
        _tell(f"'{repo.address}' names no revision: took commit {folder.name}. '{commit.address}' stays the same.")
    return folder


def cached_adapter(repo: HubRepo) -> Path | None:
    """Return the folder of an adapter that is whole in the Hub's cache, or None; asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo.repo, COUNTER, revision=repo.revision)
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder is not None and _whole(folder) else None


def cached_adapters() -> dict[str, Path]:
    """Return all adapters in the Hub's cache by name, "hf://OWNER/NAME@COMMIT"."""
    from huggingface_hub import constants

    found = {}
    for counter in sorted(Path(constants.HF_HUB_CACHE).glob(f"models--*--*/snapshots/*/{COUNTER}")):
        name = hub_source(counter.parent)
        if name is not None and _whole(counter.parent):
            found[name] = counter.parent
    return found


def hub_source(folder: Path) -> str | None:
    """Return "hf://OWNER/NAME@COMMIT" of a folder in the Hub's cache, None for any other."""
    parts = folder.parts[-3:]
    if len(parts) < 3 or parts[1] != "snapshots":
        return None
    kind, *name = parts[0].split("--")
    if kind != "models" or len(name) != 2:
        return None
    repo = HubRepo("/".join(name), parts[2])
    return repo.address if repo.pinned else None


def pinned_name(name: str) -> str:
    """Return an adapter's name as it can be recorded: one of the Hub with its commit, others as they are.

    Raises:
        UsageError, RunError: as `fetch_adapter`, which has it here then.
    """
    repo = hub_repo(name)
    return name if repo is None else hub_source(fetch_adapter(repo)) or name


def refusal(error: Exception, repo: HubRepo, doing: str) -> SamMpromptError:
    """Return what an exception of huggingface_hub means, in one line.

    Args:
        error: what was raised.
        repo: what was asked for.
        doing: "fetch" or "write to".
    """
    from huggingface_hub import errors

    name, status = repo.address, getattr(getattr(error, "response", None), "status_code", None)
    said = ""
    if isinstance(error, errors.GatedRepoError):
        said = f"'{name}' asks for its terms to be accepted on the Hub first."
    elif isinstance(error, errors.RepositoryNotFoundError) or status == _UNKNOWN:
        said = f"The Hub has no repository '{repo.repo}', or not for you."
    elif status == _FORBIDDEN:
        said = f"The Hub does not let you {doing} '{name}'."
    if said:
        return UsageError(said, about="hub login")
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(f"'{repo.repo}' has no revision '{repo.revision}' on the Hub.")
    away = isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | ConnectionError)
    if away or type(error).__module__.partition(".")[0] in _NETWORK or (status is not None and status >= 500):
        why = "it is offline by choice" if isinstance(error, errors.OfflineModeIsEnabled) else _line(error)
        said = f"Cannot {doing} '{name}': the Hub cannot be reached ({why})."
        return UsageError(said, about="hub away") if doing == "fetch" else UsageError(said)
    return RunError(f"Cannot {doing} '{name}' ({type(error).__name__}: {_line(error)}).")


@contextmanager
def _refusing(repo: HubRepo, doing: str) -> Iterator[None]:
    """Tell what huggingface_hub raises in our words, and keep it silent otherwise."""
    try:
        with quiet():
            yield
    except SamMpromptError:
        raise
    except Exception as error:  # of whatever it is built on
        raise refusal(error, repo, doing) from error


def _offer(repo: HubRepo) -> "ModelInfo":
    from huggingface_hub import HfApi

    return HfApi().model_info(repo.repo, revision=repo.revision, files_metadata=True)


def _check_offer(repo: HubRepo, offer: "ModelInfo") -> None:
    """Refuse what no adapter has, before anything is fetched."""
    from huggingface_hub import constants

    if offer.sha is None or not HubRepo(repo.repo, offer.sha).pinned:
        raise UsageError(f"'{repo.address}': the Hub names no commit, got {offer.sha!r}.")
    sizes = {file.rfilename: file.size for file in offer.siblings or () if file.rfilename in LARGEST}
    if COUNTER not in sizes:
        raise UsageError(f"'{repo.address}' is no adapter of sam-mprompt: it has no {COUNTER}.")
    total = 0
    for name, size in sizes.items():
        if not isinstance(size, int) or not 0 <= size <= LARGEST[name]:
            shown = f"{size:,}" if isinstance(size, int) else repr(size)
            raise UsageError(
                f"'{repo.address}' is not fetched: its {name} has {shown} bytes, expected at most {LARGEST[name]:,}."
            )
        total += size
    cache = Path(constants.HF_HUB_CACHE)
    there = next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())
    if (free := shutil.disk_usage(there).free) < total:
        raise RunError(f"'{cache}' has room for {free:,} bytes and {total:,} are needed. Make room.")


def _download(commit: HubRepo) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(commit.repo, revision=commit.revision, allow_patterns=list(LARGEST)))


def _remember(repo: HubRepo, folder: Path) -> None:
    """Write which commit a branch or tag was, where the Hub's own tools write it, for when there is no connection."""
    ref = folder.parents[1] / "refs" / (repo.revision or "main")
    ref.parent.mkdir(parents=True, exist_ok=True)
    write_text(ref, folder.name)


def _whole(folder: Path) -> bool:
    """Whether all files are there that the adapter's record names; whether they are right is seen when it is read."""
    try:
        names = read_counter_file(folder).sha256
    except UsageError:
        return True  # damaged, which whoever reads it says
    return all((folder / name).is_file() for name in names)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _tell(line: str) -> None:
    warnings.warn(line, HubWarning, stacklevel=4)
