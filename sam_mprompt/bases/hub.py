"""Names of Hugging Face's hub, and SAM weights there: the safetensors file of a repository. Imports no torch.

"hf://OWNER/NAME@REVISION" is how the hub's own tools write it, "hf:OWNER/NAME@REVISION" is short for it; both are
understood wherever a base or an adapter is named.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError, UsageError

HUB_FILE = "model.safetensors"
_SCHEME = "hf:"
_PART = r"[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"hf:(//)?(?P<repo>{_PART}/{_PART})(@(?P<revision>\w[\w./-]*))?", re.ASCII)
_LONGEST = 96
"""Characters of OWNER/NAME, as the hub has it."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubRepo:
    """A repository of the hub.

    Attributes:
        repo: "OWNER/NAME".
        revision: branch, tag or commit; None for the main branch.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{_SCHEME}{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def address(self) -> str:
        """The name as the hub's own tools write it, "hf://OWNER/NAME@REVISION"."""
        return str(self).replace(_SCHEME, f"{_SCHEME}//", 1)

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes; branches move, and tags can."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    @property
    def local_name(self) -> str:
        """The file's name in the folder of checkpoints, for those who copy it there by hand."""
        return f"{self.repo.replace('/', '--')}.safetensors"


def hub_repo(name: str) -> HubRepo | None:
    """Read "hf://OWNER/NAME", "hf://OWNER/NAME@REVISION" or either without slashes; None for another name.

    Raises:
        UsageError: it begins so and goes on otherwise.
    """
    if not name.startswith(_SCHEME):
        return None
    parts = _NAME.fullmatch(name)
    if parts is None or ".." in name or "--" in (repo := parts["repo"]) or repo[_LONGEST:] or repo.endswith(".git"):
        raise UsageError(
            f"Expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION, such as hf:facebook/sam-vit-base, got '{name}'."
        )
    return HubRepo(repo, parts["revision"])


def cached(repo: HubRepo) -> Path | None:
    """Return a repository's weights in the hub's own cache on this machine, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo.repo, HUB_FILE, revision=repo.revision)
    return Path(found) if isinstance(found, str) else None


def download_from_hub(repo: HubRepo) -> Path:
    """Fetch a repository's weights into the hub's own cache and return their path.

    Raises:
        UsageError: no such repository, one without safetensors (pickled weights are not fetched), one whose terms have
            to be accepted first, or no connection.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with quiet():
            return Path(hf_hub_download(repo.repo, HUB_FILE, revision=repo.revision))
    except GatedRepoError as error:
        raise UsageError(f"'{repo}' asks for its terms to be accepted on the hub, and for a login, first.") from error
    except RepositoryNotFoundError as error:
        raise UsageError(f"The hub has no public repository '{repo.repo}'.") from error
    except RevisionNotFoundError as error:
        raise UsageError(f"'{repo.repo}' has no revision '{repo.revision}' on the hub.") from error
    except LocalEntryNotFoundError as error:
        raise UsageError(
            f"Cannot fetch '{repo}': the hub cannot be reached. Connect and try again, or copy its {HUB_FILE} here "
            "from a machine that is connected and give the file."
        ) from error
    except EntryNotFoundError as error:
        raise UsageError(
            f"'{repo}' has no {HUB_FILE} on the hub, and pickled weights are not fetched: expected tensors only."
        ) from error
    except OSError as error:
        raise RunError(f"Cannot fetch '{repo}' ({type(error).__name__}: {' '.join(str(error).split())}).") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the hub's own progress bars and remarks: what matters of them is in our errors."""
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity, set_verbosity_error
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    disabled_before, verbosity = are_progress_bars_disabled(), get_verbosity()
    disable_progress_bars()
    set_verbosity_error()
    try:
        yield
    finally:
        set_verbosity(verbosity)
        if not disabled_before:
            enable_progress_bars()
