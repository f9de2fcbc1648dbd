import subprocess
import sys
from pathlib import Path

import pytest
from registries import entry

from sam_mprompt.bases.hub import hub_repo
from sam_mprompt.bases.registry import lookup, read_registry, registry_path
from sam_mprompt.errors import UsageError


def test_the_registry_needs_no_torch() -> None:
    code = (
        "import sys; from sam_mprompt.bases import locate, pull; locate.listing(); pull.fetch('sam-tiny'); "
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


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (entry("a.pth", size=None), "size"),
        (entry("a.pth", sha256=None), "sha256"),
        (entry("a.pth", hub="owner/name", sha256="abc"), "sha256"),
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
    texts = {"size 3": "broken", "size = " + "[" * 5000: "deep", "size = " + "9" * 5000: "long"}
    for text, name in texts.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    for path in (*(tmp_path / f"{name}.toml" for name in texts.values()), tmp_path / "none.toml"):
        with pytest.raises(UsageError, match="Cannot read the checkpoint registry"):
            read_registry(path)


def test_the_shipped_registry_stands_in_the_checkpoints_folder() -> None:
    assert registry_path().is_file()
    assert registry_path().parent.name == "checkpoints"


def test_an_entry_of_the_hub_may_leave_out_what_is_not_known(tmp_path: Path) -> None:
    text = entry("a.safetensors", hub="owner/name", size=None, sha256=None)
    (tmp_path / "registry.toml").write_text(f"[a]\n{text}\n", encoding="utf-8")
    read = read_registry(tmp_path / "registry.toml")["a"]
    assert (read.size, read.sha256, str(read.hub), read.published) == (None, "", "hf:owner/name", True)


def test_the_shipped_registry_knows_slimsam_and_sam_base_of_the_hub() -> None:
    known = read_registry()
    for name, repo in [
        ("sam-vit-base", "facebook/sam-vit-base"),
        ("slimsam-77", "Zigeng/SlimSAM-uniform-77"),
        ("slimsam-50", "Zigeng/SlimSAM-uniform-50"),
    ]:
        assert known[name].licence == "Apache-2.0"
        assert lookup(f"hf:{repo}", known) is known[name]
        assert known[name].file == f"{repo.replace('/', '--')}.safetensors"


@pytest.mark.parametrize(
    ("name", "revision"), [("hf:some-one/sam.v2", None), ("hf:some-one/sam.v2@refs/pr/1", "refs/pr/1")]
)
def test_any_repository_of_the_hub_has_a_name(name: str, revision: str | None) -> None:
    entry = lookup(name, read_registry())
    assert entry is not None
    assert entry.hub is not None
    assert (entry.name, entry.hub.repo, entry.hub.revision) == (name, "some-one/sam.v2", revision)
    assert (entry.file, entry.size, entry.sha256) == ("some-one--sam.v2.safetensors", None, "")


def test_the_hubs_own_way_of_writing_a_name_is_understood() -> None:
    known = read_registry()
    assert lookup("hf://facebook/sam-vit-base", known) is known["sam-vit-base"]
    assert lookup("hf://a/b@v2", known) == lookup("hf:a/b@v2", known)
    assert str(hub_repo("hf://a/b@v2")) == "hf:a/b@v2"
    assert hub_repo("hf:a/b@v2").address == "hf://a/b@v2"


def test_the_hub_has_the_same_weights_as_metas_files() -> None:
    known = read_registry()
    assert known["sam_vit_b"].hub_id == known["sam-vit-base"].hub_id == "facebook/sam-vit-base"
    assert known["sam-tiny"].hub_id == ""


@pytest.mark.parametrize(
    "name",
    [
        *("hf:", "hf:sam", "hf:a/b/c", "hf:a/b@", "hf:/b", "hf:a b/c", "hf:///a/b", "hf:a/..", "hf:a/b@../c"),
        *("hf:a/b.git", "hf:a--b/c", "hf:a/b-", "hf:a/" + "b" * 95),
    ],
)
def test_a_malformed_name_of_the_hub_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION"):
        lookup(name, read_registry())
