import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.bases import registry as bases
from sam_mprompt.bases.registry import (
    RandomBase,
    checkpoint_folder,
    fetch,
    listing,
    pull,
    read_registry,
    resolve,
    verify,
)
from sam_mprompt.errors import UsageError

CONTENT = b"weights" * 100
OTHER = b"garbage" * 100


def entry(file: str, **fields: object) -> str:
    values = {
        "file": file,
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "Apache-2.0",
        "description": "for tests",
        **fields,
    }
    return "\n".join(f"{key} = {value!r}" for key, value in values.items() if value is not None)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with one published and one bundled checkpoint, neither of them on this machine."""
    path = tmp_path / "shipped" / "registry.toml"
    path.parent.mkdir()
    published = entry("sam_small_123.pth", url="http://127.0.0.1:9/sam_small_123.pth", aliases=["small"])
    path.write_text(f"[sam_small]\n{published}\n[sam-tiny]\n{entry('sam_tiny.safetensors')}\n", encoding="utf-8")
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", str(tmp_path / "cache"))
    return path


def cached(content: bytes) -> Path:
    path = checkpoint_folder() / "sam_small_123.pth"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_registry_needs_no_torch() -> None:
    code = (
        "import sys; from sam_mprompt.bases import registry as bases; bases.listing(); "
        "assert not {'torch', 'peft', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_registry_pins_every_published_sam() -> None:
    known = read_registry()
    official = {name: known[name] for name in ("sam_vit_b", "sam_vit_l", "sam_vit_h")}
    assert [checkpoint.size for checkpoint in official.values()] == [375_042_383, 1_249_524_607, 2_564_550_879]
    assert known["sam_vit_b"].sha256 == "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
    for checkpoint in official.values():
        assert checkpoint.licence == "Apache-2.0"
        assert checkpoint.url == f"https://dl.fbaipublicfiles.com/segment_anything/{checkpoint.file}"
    labels = [
        label for checkpoint in known.values() for label in (checkpoint.name, checkpoint.file, *checkpoint.aliases)
    ]
    assert len(labels) == len(set(labels))


def test_every_shipped_checkpoint_without_a_url_is_there_and_intact() -> None:
    assert [s.detail for s in map(verify, read_registry()) if s.checkpoint.url is None and s.state != "ready"] == []


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
        "'sam-mprompt checkpoints pull sam_small'",
        "sam_small_123.pth (700 bytes, SHA-256 " + hashlib.sha256(CONTENT).hexdigest(),
        f"into '{checkpoint_folder()}'",
    ):
        assert part in str(missing.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sam_smal", "No base 'sam_smal'. Did you mean 'sam_small'?.* one of sam_small, sam-tiny, random:tiny"),
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
    with pytest.raises(UsageError, match=r"699 bytes instead of 700\. Run 'sam-mprompt checkpoints pull sam_small'"):
        resolve("sam_small", registry=registry)


def test_a_damaged_bundled_file_says_to_install_again(registry: Path) -> None:
    for state in ("missing", "damaged"):
        for ask in (resolve, fetch, pull):
            with pytest.raises(UsageError, match=f"'sam-tiny' is {state}.*Install .*again"):
                ask("sam-tiny", registry=registry)
        (registry.parent / "sam_tiny.safetensors").write_bytes(b"x")


def test_listing_judges_by_size_and_verify_by_content(registry: Path) -> None:
    assert [(s.checkpoint.name, s.state) for s in listing(registry=registry)] == [
        ("sam_small", "missing"),
        ("sam-tiny", "missing"),
    ]
    path = cached(OTHER)
    first, _ = listing(registry=registry)
    assert (first.state, first.path) == ("ready", path)
    status = verify("small", registry=registry)
    assert (status.state, status.path) == ("damaged", path)
    assert f"SHA-256 {hashlib.sha256(OTHER).hexdigest()} instead of" in status.detail
    cached(CONTENT)
    assert verify("small", registry=registry).state == "ready"
    cached(CONTENT + b"x")
    assert [s.state for s in listing(registry=registry)] == ["damaged", "missing"]


def test_verify_and_pull_suggest_a_misspelt_name(registry: Path) -> None:
    for ask in (verify, pull):
        with pytest.raises(UsageError, match="Did you mean 'sam_small'"):
            ask("sam_smal", registry=registry)


def test_pull_returns_what_is_here_without_a_connection(registry: Path) -> None:
    path = cached(CONTENT)
    assert pull("small", registry=registry) == path


def test_pull_without_a_connection_says_what_to_put_where(registry: Path) -> None:
    for ask in (pull, fetch):
        with pytest.raises(UsageError, match=r"Cannot fetch http://127\.0\.0\.1:9/") as refused:
            ask("sam_small", registry=registry)
        assert f"put sam_small_123.pth (700 bytes, SHA-256 {hashlib.sha256(CONTENT).hexdigest()})" in str(refused.value)
        assert f"into '{checkpoint_folder()}'" in str(refused.value)


def test_obtain_passes_files_and_random_bases_through(registry: Path) -> None:
    assert fetch("random:tiny", registry=registry) == RandomBase("tiny", 0)
    with pytest.raises(UsageError, match="No base 'zzz'"):
        fetch("zzz", registry=registry)


@given(config=st.text("abc_", min_size=1), seed=st.none() | st.integers(0, 10**9))
def test_random_bases_are_parsed(config: str, seed: int | None) -> None:
    name = f"random:{config}" + ("" if seed is None else f"@{seed}")
    assert resolve(name) == RandomBase(config, seed or 0)


@pytest.mark.parametrize("name", ["random:", "random:tiny@", "random:tiny@x", "random:tiny@-1", "random:@3"])
def test_malformed_random_bases_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Expected random:CONFIG or random:CONFIG@SEED"):
        resolve(name)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (entry("a.pth", size=None), "size"),
        (entry("a.pth", size="7"), "size"),
        (entry("a.pth", sha256="abc"), "sha256"),
        (entry("a.pth", md5="abc"), "md5"),
        (entry("a.pth", url="ftp://x/y"), "url"),
        (entry("a.pth", aliases="a"), "aliases"),
    ],
)
def test_a_broken_registry_entry_is_named(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_text(f"[broken]\n{text}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=rf"\[broken\] has a wrong, missing or unknown {named}\."):
        read_registry(tmp_path / "registry.toml")


def test_a_registry_that_is_no_toml_or_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_text("size 3", encoding="utf-8")
    for path in (tmp_path / "registry.toml", tmp_path / "none.toml"):
        with pytest.raises(UsageError, match="Cannot read the checkpoint registry"):
            read_registry(path)


def test_the_shipped_registry_stands_in_the_checkpoints_folder() -> None:
    assert bases.bundled("checkpoints").joinpath("registry.toml").is_file()
