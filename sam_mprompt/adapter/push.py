"""An adapter goes to Hugging Face's Hub: its own files and a card, in one commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..bases.hub import HubRepo, hub_repo, quiet
from ..errors import SamMpromptError, UsageError
from ..recipe.licences import checked_licence, forbids_commerce
from .contents import CARD, LARGEST
from .counter_file import COUNTER
from .folder import AdapterFolder
from .hub import refusal
from .loading import check_folder

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo


@dataclass(frozen=True)
class Pushed:
    """What is on the Hub then.

    Attributes:
        repo: the repository at the commit that holds the adapter.
        private: whether only its owner and those whom they let see it.
        size: bytes of all its files.
        cautions: what in the licences somebody should look at, a line each.
    """

    repo: HubRepo
    private: bool
    size: int
    cautions: tuple[str, ...] = ()


def push(
    adapter: AdapterFolder, to: str, *, licence: str, datasets: Sequence[str] = (), public: bool = False
) -> Pushed:
    """Write an adapter into a repository of the Hub, which is made where there is none, as one commit.

    The adapter's own files go there and nothing else that lies in its folder; the card is made anew. Files of an
    earlier adapter that this one does not have are removed, others in the repository stay. Who is allowed to is asked
    with the token that huggingface_hub finds: its login's, or $HF_TOKEN.

    Args:
        adapter: as read, which checked its files; that its tensors fit what they go into is checked here.
        to: "hf://OWNER/NAME", or "hf://OWNER/NAME@BRANCH".
        licence: the adapter's, as the Hub calls it.
        datasets: the Hub's names "OWNER/NAME" of what it was trained on.
        public: make a new repository public. An existing one stays as it is, and a public one is refused without this.

    Raises:
        UsageError: not such a name or licence, a commit instead of a branch, tensors that nobody could load, no
            login, no right to write there, a public repository without `public`, or no connection.
        RunError: the Hub refused what was sent, or the connection broke; the repository is as it was then.
    """
    repo = _target(to)
    licence = checked_licence(licence)
    if wrong := [name for name in datasets if hub_repo(f"hf:{name}") is None or "@" in name]:
        raise UsageError(f"datasets: expected the Hub's names OWNER/NAME, got '{wrong[0]}'.")
    check_folder(adapter)
    card = adapter.card(licence=licence, datasets=datasets, source=HubRepo(repo.repo).address)
    try:
        with quiet():
            found = _prepared(repo, public=public)
            commit = _commit(adapter, repo, card, found)
    except SamMpromptError:
        raise
    except Exception as error:  # of whatever huggingface_hub is built on
        raise refusal(error, repo, "write to") from error
    size = sum((adapter.path / name).stat().st_size for name in _names(adapter)) + len(card.encode())
    return Pushed(HubRepo(repo.repo, commit), bool(found.private), size, _cautions(adapter, licence))


def _target(to: str) -> HubRepo:
    repo = hub_repo(to)
    if repo is None:
        raise UsageError(f"Expected hf://OWNER/NAME to push to, got '{to}'.")
    if repo.pinned:
        raise UsageError(f"Expected a branch to push to, got the commit {repo.revision}, which stays as it is.")
    return repo


def _prepared(repo: HubRepo, *, public: bool) -> "ModelInfo":
    """Make the repository and the branch where there are none, and return what is there."""
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise UsageError(f"Cannot write to '{repo.address}': nobody is logged in to the Hub.", about="hub login")
    api = HfApi()
    api.create_repo(repo.repo, private=not public, exist_ok=True)
    found = api.model_info(repo.repo)
    if not found.private and not public:
        raise UsageError(f"'{repo.address}' is public: everybody would see the adapter.", about="hub public")
    if repo.revision is not None:
        api.create_branch(repo.repo, branch=repo.revision, exist_ok=True)
        found = api.model_info(repo.repo, revision=repo.revision)
    return found


def _commit(adapter: AdapterFolder, repo: HubRepo, card: str, found: "ModelInfo") -> str:
    """Send all in one commit on top of what was found, and return the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    names = _names(adapter)
    there = {file.rfilename for file in found.siblings or ()}
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, str(adapter.path / name)) for name in names
    ]
    operations.append(CommitOperationAdd(CARD, card.encode()))
    operations += [CommitOperationDelete(name) for name in sorted((there & LARGEST.keys()) - {*names, CARD})]
    api: HfApi = HfApi(library_name="sam-mprompt")
    made = api.create_commit(
        repo.repo,
        operations,
        commit_message=f"Adapter {adapter.recipe.name}",
        revision=repo.revision,
        parent_commit=found.sha,
    )
    return made.oid


def _names(adapter: AdapterFolder) -> list[str]:
    """Return the names of the adapter's own files; the checksums were compared when it was read."""
    return sorted({COUNTER, *adapter.info.sha256} & LARGEST.keys())


def _cautions(adapter: AdapterFolder, licence: str) -> tuple[str, ...]:
    known = adapter.known_licences
    return tuple(
        f"The licence of {what}, '{name}', allows no commercial use; '{licence}' does."
        for what, name in (("the base", known.base.lower()), ("the training images", known.data))
        if forbids_commerce(name) and not forbids_commerce(licence)
    )
