import shutil
import warnings
from pathlib import Path

import pytest
from huggingface_hub import constants

import sam_mprompt
from sam_mprompt.adapter.contents import LARGEST
from sam_mprompt.adapter.find import find_adapter, recipe_behind
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.hub import cached_adapters, hub_source, pinned_name
from sam_mprompt.errors import HubWarning, RunError, UsageError


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def published(hub, small_adapter):
    """A commit of `me/gate` that holds an adapter, and things beside it that no adapter has."""
    others = {"weights.bin": b"\x80\x04pickle", "examples/counter.json": b"{}", "model.safetensors": b"x"}
    return hub.holding("me/gate", files_of(small_adapter) | others)


def test_a_commit_of_the_hub_is_loaded_and_counts_as_the_folder_that_was_pushed(published, small_adapter, crowd_folder):
    image = crowd_folder / "5.png"
    counter = sam_mprompt.load(f"hf://me/gate@{published}", device="cpu")
    assert counter.count(image).count == sam_mprompt.load(small_adapter, device="cpu").count(image).count
    assert counter.folder.source == f"hf://me/gate@{published}"
    assert counter.folder.facts()["source"] == f"hf://me/gate@{published}"


def test_nothing_is_fetched_but_the_files_of_an_adapter(hub, published, small_adapter):
    folder = find_adapter(f"hf://me/gate@{published}")
    assert files_of(folder).keys() == files_of(small_adapter).keys()
    fetched = {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line}
    assert fetched <= LARGEST.keys()


def test_a_commit_that_is_here_is_taken_without_asking(hub, published):
    first = find_adapter(f"hf://me/gate@{published}")
    hub.asked.clear()
    assert find_adapter(f"hf:me/gate@{published}") == first
    assert hub.asked == []


def test_without_a_revision_the_newest_is_taken_and_its_commit_told(hub, published, make_adapter):
    with pytest.warns(HubWarning, match=f"names no revision: took commit {published}"):
        assert find_adapter("hf://me/gate").name == published
    newer = hub.holding("me/gate", files_of(make_adapter(seed=6)))
    with pytest.warns(HubWarning, match=f"'hf://me/gate@{newer}' stays the same"):
        assert find_adapter("hf://me/gate").name == newer
    with pytest.warns(HubWarning):
        assert pinned_name("hf:me/gate") == f"hf://me/gate@{newer}"
    assert pinned_name("adapters/gate") == "adapters/gate"


def test_a_branch_is_what_it_is_now_and_needs_no_warning(hub, published):
    hub.repos["me/gate"].branches["stable/1"] = published
    hub.repos["me/gate"].branches["main"] = "gone"
    with warnings.catch_warnings():
        warnings.simplefilter("error", HubWarning)
        assert find_adapter("hf://me/gate@stable/1").name == published


@pytest.mark.parametrize("revision", ["", "@main"])
def test_without_a_connection_the_cache_answers_and_says_so(hub, published, monkeypatch, revision):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HubWarning)
        folder = find_adapter(f"hf://me/gate{revision}")
    for away in ("down", "offline"):
        with monkeypatch.context() as patched:
            patched.setattr(hub, "down", away == "down")
            patched.setattr(constants, "HF_HUB_OFFLINE", away == "offline")
            with pytest.warns(
                HubWarning, match=f"cannot be reached.*Took commit {published}, which was fetched before"
            ):
                assert find_adapter(f"hf://me/gate{revision}") == folder
            assert find_adapter(f"hf://me/gate@{published}") == folder


def test_without_a_connection_what_is_not_in_the_cache_is_refused_in_one_line(hub, published, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("hf://me/gate", f"hf://me/gate@{published}"):
        with pytest.raises(UsageError, match=r"the Hub cannot be reached \(it is offline by choice") as refused:
            find_adapter(name)
        assert "\n" not in str(refused.value)


def test_a_hub_that_is_not_there_is_refused_in_one_line(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="Cannot fetch 'hf://me/gate': the Hub cannot be reached") as refused:
        find_adapter("hf://me/gate")
    assert "\n" not in str(refused.value)


def test_a_folder_that_an_interruption_left_unfinished_is_completed(hub, published):
    folder = find_adapter(f"hf://me/gate@{published}")
    (folder / "adapter_model.safetensors").unlink()
    assert cached_adapters() == {}
    assert find_adapter(f"hf://me/gate@{published}") == folder
    assert AdapterFolder.read(folder).source in cached_adapters()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf://me/nothing", "The Hub has no repository 'me/nothing', or not for you"),
        ("hf://me/secret", "The Hub has no repository 'me/secret', or not for you"),
        ("hf://me/gate@nowhere", "'me/gate' has no revision 'nowhere' on the Hub"),
        ("hf://me/terms", "'hf://me/terms' asks for its terms to be accepted"),
        ("hf://me/other", "'hf://me/other' is no adapter of sam-mprompt: it has no counter.json"),
        ("hf://me", "Expected hf:OWNER/NAME"),
        ("hf://me/../etc", "Expected hf:OWNER/NAME"),
        ("hf://me/gate@../../refs", "Expected hf:OWNER/NAME"),
        ("hf://me/gate.git", "Expected hf:OWNER/NAME"),
        ("hf://me/" + "x" * 200, "Expected hf:OWNER/NAME"),
    ],
)
def test_what_the_hub_does_not_have_is_refused_in_one_line(hub, published, name, said):
    hub.holding("me/secret", {"counter.json": b"{}"}, private=True)
    hub.holding("me/terms", {"counter.json": b"{}"})
    hub.gated.add("me/terms")
    hub.holding("me/other", {"model.safetensors": b""})
    with pytest.raises(UsageError, match=said) as refused:
        find_adapter(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["counter.json", "adapter_model.safetensors", "README.md"])
def test_files_larger_than_any_adapters_are_refused_before_anything_is_fetched(hub, published, name):
    hub.claims[name] = LARGEST[name] + 1
    with pytest.raises(UsageError, match=rf"its {name} has .* bytes, expected at most"):
        find_adapter(f"hf://me/gate@{published}")
    assert not [line for line in hub.asked if "/resolve/" in line]
    assert not Path(constants.HF_HUB_CACHE).exists()


def test_more_than_the_disk_holds_is_refused_before_anything_is_fetched(hub, published, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(RunError, match="has room for 1 bytes and"):
        find_adapter(f"hf://me/gate@{published}")


def test_what_was_fetched_is_checked_as_every_adapter_is(hub, small_adapter):
    files = files_of(small_adapter)
    commit = hub.holding("me/gate", files | {"metrics.json": b"{}"})
    with pytest.raises(UsageError, match=r"was changed after it was written: metrics\.json"):
        sam_mprompt.load(f"hf://me/gate@{commit}")
    outside = files["counter.json"].replace(b'"recipe.toml"', b'"../recipe.toml"')
    commit = hub.holding("me/gate", files | {"counter.json": outside})
    with pytest.raises(UsageError, match="is damaged, faulty keys: sha256"):
        sam_mprompt.load(f"hf://me/gate@{commit}")


def test_adapters_of_the_cache_are_known_by_names_that_load_them(hub, published, tmp_path):
    assert cached_adapters() == {}
    folder = find_adapter(f"hf://me/gate@{published}")
    assert cached_adapters() == {f"hf://me/gate@{published}": folder}
    assert hub_source(folder) == f"hf://me/gate@{published}"
    assert recipe_behind(f"hf://me/gate@{published}") == folder / "recipe.toml"
    for other in (tmp_path, Path("snapshots"), folder.parent / "main", folder.parents[1] / "refs" / folder.name):
        assert hub_source(other) is None
