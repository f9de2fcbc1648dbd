import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registries import CONTENT, OTHER, SHA256

from sam_mprompt.bases.locate import RandomBase, checkpoint_folder, listing, resolve, verify
from sam_mprompt.bases.pull import fetch
from sam_mprompt.bases.registry import read_registry
from sam_mprompt.cli.advice import advised
from sam_mprompt.errors import UsageError


def cached(content: bytes) -> Path:
    path = checkpoint_folder() / "sam_small_123.pth"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_checkpoint_that_ships_is_there_and_intact() -> None:
    assert [s.detail for s in map(verify, read_registry()) if s.checkpoint.ships and s.state != "ready"] == []


@pytest.mark.parametrize("name", ["sam_small", "small", "sam_small_123.pth"])
def test_a_checkpoint_is_found_by_name_alias_and_file_name(name: str, registry: Path) -> None:
    path = cached(CONTENT)
    assert resolve(name, registry=registry) == path
    assert fetch(name, registry=registry) == path


def test_an_explicit_file_comes_first_then_the_shipped_one_then_the_users(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = cached(CONTENT)
    shipped = registry.parent / "sam_small_123.pth"
    shipped.write_bytes(CONTENT)
    assert resolve("sam_small", registry=registry) == shipped
    shipped.unlink()
    assert resolve("sam_small", registry=registry) == user
    own = registry.parent / "own" / "sam_small"
    own.parent.mkdir()
    own.write_bytes(b"x")
    monkeypatch.chdir(own.parent)
    assert resolve("sam_small", registry=registry) == Path("sam_small")
    assert fetch(own, registry=registry) == own


def test_the_home_folder_is_understood(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(registry.parent))
    monkeypatch.delenv("SAM_MPROMPT_CHECKPOINTS")
    assert checkpoint_folder() == registry.parent / ".cache" / "sam-mprompt" / "checkpoints"
    assert resolve("~/registry.toml", registry=registry) == registry
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", "~/bases")
    assert checkpoint_folder() == registry.parent / "bases"


def test_a_missing_checkpoint_is_told_how_to_get_it_and_where_it_goes(registry: Path) -> None:
    with pytest.raises(UsageError) as missing:
        resolve("small", registry=registry)
    for part in (
        "'sam_small' is missing",
        "sam_small_123.pth (700 bytes, SHA-256 " + SHA256,
        f"into '{checkpoint_folder()}'",
    ):
        assert part in str(missing.value)
    assert "sam-mprompt" not in str(missing.value).replace(str(checkpoint_folder()), "")
    assert advised(missing.value).endswith("Run 'sam-mprompt checkpoints pull sam_small'.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "sam_smal",
            "No base 'sam_smal'. Did you mean 'sam_small'?.* one of sam_small, sam-tiny, sam-hub, random:tiny",
        ),
        ("smll", "Did you mean 'small'"),
        ("zzz", "No base 'zzz'. Expected a file or one of sam_small"),
        ("missing.pth", "'missing.pth' does not exist"),
        ("folder/base", "'folder/base' does not exist"),
        ("/", "'/' is a folder"),
    ],
)
def test_what_is_neither_a_file_nor_a_name_is_refused_with_what_would_be(
    name: str, message: str, registry: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(name, registry=registry)


def test_a_truncated_checkpoint_is_recognised_by_its_size(registry: Path) -> None:
    cached(CONTENT[:-1])
    with pytest.raises(UsageError, match=r"699 bytes instead of 700\. Fetch it again\."):
        resolve("sam_small", registry=registry)


def test_listing_judges_by_size_and_verify_by_content(registry: Path) -> None:
    assert [(s.checkpoint.name, s.state) for s in listing(registry=registry)] == [
        ("sam_small", "missing"),
        ("sam-tiny", "missing"),
        ("sam-hub", "missing"),
    ]
    path = cached(OTHER)
    first, *_ = listing(registry=registry)
    assert (first.state, first.path) == ("ready", path)
    status = verify("small", registry=registry)
    assert (status.state, status.path) == ("damaged", path)
    assert f"SHA-256 {hashlib.sha256(OTHER).hexdigest()} instead of" in status.detail
    cached(CONTENT)
    assert verify("small", registry=registry).state == "ready"
    cached(CONTENT + b"x")
    assert [s.state for s in listing(registry=registry)] == ["damaged", "missing", "missing"]


@given(config=st.text("abc_", min_size=1), seed=st.none() | st.integers(0, 10**9))
def test_random_bases_are_parsed(config: str, seed: int | None) -> None:
    name = f"random:{config}" + ("" if seed is None else f"@{seed}")
    assert resolve(name) == RandomBase(config, seed or 0)


@pytest.mark.parametrize("name", ["random:", "random:tiny@", "random:tiny@x", "random:tiny@-1", "random:@3"])
def test_malformed_random_bases_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Expected random:CONFIG or random:CONFIG@SEED"):
        resolve(name)


def at_the_hub(tmp_path: Path, repo: str, content: bytes, revision: str = "main") -> Path:
    """Lay a file into the hub's cache as huggingface_hub does."""
    folder = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
    path = folder / "snapshots" / "0123abc" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (folder / "refs").mkdir()
    (folder / "refs" / revision).write_text("0123abc", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["sam-hub", "hf:owner/sam", "owner--sam.safetensors"])
def test_a_checkpoint_of_the_hub_is_found_in_the_hubs_own_cache(name: str, registry: Path, tmp_path: Path) -> None:
    path = at_the_hub(tmp_path, "owner/sam", CONTENT)
    assert resolve(name, registry=registry) == fetch(name, registry=registry) == path
    assert (verify(name, registry=registry).state, verify(name, registry=registry).detail) == ("ready", "")
    path.write_bytes(OTHER)
    assert verify(name, registry=registry).state == "damaged"


def test_a_repository_that_is_not_registered_is_found_and_says_that_nothing_was_compared(
    registry: Path, tmp_path: Path
) -> None:
    path = at_the_hub(tmp_path, "some-one/medsam", CONTENT, "v2")
    assert resolve("hf:some-one/medsam@v2", registry=registry) == path
    status = verify("hf:some-one/medsam@v2", registry=registry)
    assert (status.state, status.detail) == ("ready", "no SHA-256 is registered to compare it with")


def test_a_repository_that_is_not_here_is_told_how_to_get_it(registry: Path) -> None:
    with pytest.raises(
        UsageError, match=r"or the hub's cache, as hf:a/b\. Fetch it, or put a--b\.safetensors"
    ) as missing:
        resolve("hf:a/b", registry=registry)
    assert advised(missing.value).endswith("Run 'sam-mprompt checkpoints pull hf:a/b'.")


def test_a_copy_by_hand_takes_the_place_of_the_hubs(registry: Path, tmp_path: Path) -> None:
    at_the_hub(tmp_path, "owner/sam", CONTENT)
    checkpoint_folder().mkdir()
    by_hand = checkpoint_folder() / "owner--sam.safetensors"
    by_hand.write_bytes(CONTENT)
    assert resolve("hf:owner/sam", registry=registry) == by_hand
