from pathlib import Path

import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from registries import CONTENT, OTHER, SHA256

from sam_mprompt.bases.locate import RandomBase, checkpoint_folder, resolve, verify
from sam_mprompt.bases.pull import fetch, pull
from sam_mprompt.errors import RunError, UsageError


def cached(content: bytes) -> Path:
    path = checkpoint_folder() / "sam_small_123.pth"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_pull_returns_what_is_here_without_a_connection(registry: Path) -> None:
    path = cached(CONTENT)
    assert pull("small", registry=registry) == path


def test_pull_without_a_connection_says_what_to_put_where(registry: Path) -> None:
    for ask in (pull, fetch):
        with pytest.raises(UsageError, match=r"Cannot fetch http://127\.0\.0\.1:9/") as refused:
            ask("sam_small", registry=registry)
        assert f"put sam_small_123.pth (700 bytes, SHA-256 {SHA256})" in str(refused.value)
        assert f"into '{checkpoint_folder()}'" in str(refused.value)


def test_fetch_passes_files_and_random_bases_through(registry: Path) -> None:
    assert fetch("random:tiny", registry=registry) == RandomBase("tiny", 0)
    with pytest.raises(UsageError, match="No base 'zzz'"):
        fetch("zzz", registry=registry)


def test_verify_and_pull_suggest_a_misspelt_name(registry: Path) -> None:
    for ask in (verify, pull):
        with pytest.raises(UsageError, match="Did you mean 'sam_small'"):
            ask("sam_smal", registry=registry)


def test_a_damaged_bundled_file_says_to_install_again(registry: Path) -> None:
    for state in ("missing", "damaged"):
        for ask in (resolve, fetch, pull):
            with pytest.raises(UsageError, match=f"'sam-tiny' is {state}.*Install .*again"):
                ask("sam-tiny", registry=registry)
        (registry.parent / "sam_tiny.safetensors").write_bytes(b"x")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """A hub that has one file for every repository, or raises."""
    sends: dict[str, object] = {"content": CONTENT, "asked": []}

    def download(repo: str, file: str, *, revision: str | None = None) -> str:
        sends["asked"].append((repo, file, revision))
        if isinstance(sends["content"], Exception):
            raise sends["content"]
        path = tmp_path / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / "abc" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sends["content"])
        (path.parents[2] / "refs").mkdir(exist_ok=True)
        (path.parents[2] / "refs" / (revision or "main")).write_text("abc", encoding="utf-8")
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return sends


def test_pull_fetches_safetensors_of_the_hub_once_into_its_own_cache(registry: Path, hub: dict) -> None:
    seen = []
    path = pull("hf:some-one/sam@v2", progress=lambda *done: seen.append(done), registry=registry)
    assert path.read_bytes() == CONTENT
    assert hub["asked"] == [("some-one/sam", "model.safetensors", "v2")]
    assert seen == [(len(CONTENT), len(CONTENT))]
    assert pull("hf:some-one/sam@v2", registry=registry) == resolve("hf:some-one/sam@v2", registry=registry) == path
    assert fetch("hf:some-one/sam@v2", registry=registry) == path
    assert len(hub["asked"]) == 1


def test_what_the_hub_sends_is_compared_with_a_registered_hash(registry: Path, hub: dict) -> None:
    assert fetch("sam-hub", registry=registry) == pull("hf:owner/sam", registry=registry)
    hub["content"] = OTHER
    (checkpoint_folder().parent / "hub").rename(checkpoint_folder().parent / "gone")
    with pytest.raises(RunError, match=f"instead of the registered {SHA256}.*@REVISION"):
        pull("sam-hub", registry=registry)


def test_a_damaged_copy_by_hand_gives_way_to_what_the_hub_has(registry: Path, hub: dict) -> None:
    checkpoint_folder().mkdir()
    (checkpoint_folder() / "owner--sam.safetensors").write_bytes(OTHER)
    path = pull("sam-hub", registry=registry)
    assert resolve("sam-hub", registry=registry) == path
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            LocalEntryNotFoundError("offline"),
            "Cannot fetch 'hf:a/b': the hub cannot be reached. Connect .* give the file",
        ),
        (
            EntryNotFoundError("404"),
            "'hf:a/b' has no model.safetensors on the hub, and pickled weights are not fetched",
        ),
    ],
)
def test_what_the_hub_does_not_give_is_said_in_one_line(
    error: Exception, message: str, registry: Path, hub: dict
) -> None:
    hub["content"] = error
    for ask in (pull, fetch):
        with pytest.raises(UsageError, match=message) as refused:
            ask("hf:a/b", registry=registry)
        assert "\n" not in str(refused.value)


def test_a_disk_that_is_full_is_a_failed_run(registry: Path, hub: dict) -> None:
    hub["content"] = OSError(28, "No space left on device")
    with pytest.raises(RunError, match=r"Cannot fetch 'hf:a/b' \(OSError: .*No space left"):
        pull("hf:a/b", registry=registry)
