import json
from dataclasses import replace

import pytest
from hub_server import READ_ONLY, TOKEN
from huggingface_hub import ModelCard, constants

import sam_mprompt
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.licences_file import LicencesFile
from sam_mprompt.adapter.push import push
from sam_mprompt.errors import RunError, UsageError


@pytest.fixture
def logged_in(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


@pytest.fixture
def folder(adapter):
    return AdapterFolder.read(adapter)


def files_on(hub, name, branch="main"):
    repo = hub.repos[name]
    return repo.commits[repo.branches[branch]]


def test_a_pushed_adapter_is_private_and_loads_as_the_same_one(logged_in, folder, crowd_folder):
    pushed = push(folder, "hf://me/gate", licence="mit")
    assert pushed.private
    assert logged_in.repos["me/gate"].private
    counter = sam_mprompt.load(pushed.repo.address, device="cpu")
    assert counter.folder.info == folder.info
    image = crowd_folder / "5.png"
    assert counter.count(image).count == sam_mprompt.load(folder.path, device="cpu").count(image).count


def test_nothing_goes_there_but_the_adapters_own_files_and_a_card_in_one_commit(logged_in, folder):
    (folder.path / "notes.txt").write_text("mine alone")
    (folder.path / "examples").mkdir()
    push(folder, "hf://me/gate", licence="mit")
    there = files_on(logged_in, "me/gate")
    assert there.keys() == {*folder.info.sha256, "counter.json", "README.md", ".gitattributes"}
    assert all(there[name] == (folder.path / name).read_bytes() for name in folder.info.sha256)
    assert len([line for line in logged_in.asked if "/commit/" in line]) == 1


def test_files_of_an_earlier_adapter_that_this_one_lacks_go_and_others_stay(logged_in, folder, tmp_path):
    push(folder, "hf://me/gate", licence="mit")
    logged_in.holding("me/gate", files_on(logged_in, "me/gate") | {"LICENSE": b"mine"})
    bare = replace(folder, path=tmp_path / "bare", calibration=None, scope=None)
    bare.write()
    push(AdapterFolder.read(bare.path), "hf://me/gate", licence="mit")
    there = files_on(logged_in, "me/gate")
    assert there.keys() == {*json.loads(there["counter.json"])["sha256"], "counter.json", "README.md"} | {
        ".gitattributes",
        "LICENSE",
    }
    assert "calibration.json" not in there


def test_a_branch_is_made_and_main_stays(logged_in, folder):
    push(folder, "hf://me/gate", licence="mit")
    before = files_on(logged_in, "me/gate")
    pushed = push(folder, "hf://me/gate@night/1", licence="apache-2.0")
    assert pushed.repo.revision == logged_in.repos["me/gate"].branches["night/1"]
    assert files_on(logged_in, "me/gate") == before
    assert b"apache-2.0" in files_on(logged_in, "me/gate", "night/1")["README.md"]


def test_what_is_public_is_published_only_when_asked_for(logged_in, folder):
    logged_in.holding("me/open", {"LICENSE": b""})
    with pytest.raises(UsageError, match="'hf://me/open' is public") as refused:
        push(folder, "hf://me/open", licence="mit")
    assert refused.value.about == "hub public"
    assert files_on(logged_in, "me/open").keys() == {"LICENSE"}
    assert not push(folder, "hf://me/open", licence="mit", public=True).private
    assert not push(folder, "hf://me/new", licence="mit", public=True).private


@pytest.mark.parametrize(
    ("token", "to", "options", "said"),
    [
        (None, "hf://me/gate", {}, "nobody is logged in to the Hub"),
        ("hf_wrong", "hf://me/gate", {}, "The Hub has no repository 'me/gate', or not for you"),
        (READ_ONLY, "hf://me/gate", {}, "The Hub does not let you write to 'hf://me/gate'"),
        (TOKEN, "gate", {}, "Expected hf://OWNER/NAME to push to, got 'gate'"),
        (TOKEN, "hf://me/gate@" + "a" * 40, {}, "Expected a branch to push to, got the commit a"),
        (TOKEN, "hf://me/gate", {"licence": "apache-2"}, "licence: expected .* Did you mean 'apache-2.0'"),
        (TOKEN, "hf://me/gate", {"datasets": ["crowds"]}, "expected the Hub's names OWNER/NAME|Expected hf:OWNER/NAME"),
    ],
)
def test_who_may_not_or_what_cannot_be_is_refused_in_one_line(hub, folder, monkeypatch, token, to, options, said):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UsageError, match=said) as refused:
        push(folder, to, **({"licence": "mit"} | options))
    assert "\n" not in str(refused.value)
    assert hub.repos == {}


def test_a_hub_that_is_away_is_said_in_one_line(logged_in, folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="Cannot write to 'hf://me/gate': the Hub cannot be reached") as refused:
        push(folder, "hf://me/gate", licence="mit")
    assert "\n" not in str(refused.value)
    assert refused.value.about == ""  # what is read without a connection helps nobody who writes


def test_what_the_hub_does_not_take_leaves_the_repository_as_it_was(logged_in, folder, monkeypatch):
    push(folder, "hf://me/gate", licence="mit")
    before = files_on(logged_in, "me/gate")
    monkeypatch.setattr(AdapterFolder, "card", lambda self, **chosen: "no front matter")
    with pytest.raises(RunError, match=r"Cannot write to .*Invalid metadata in README"):
        push(folder, "hf://me/gate", licence="mit")
    assert files_on(logged_in, "me/gate") == before


def test_the_card_is_one_as_the_hub_wants_it(logged_in, folder):
    known = replace(folder, licences=LicencesFile(base="Apache-2.0", base_hub_id="facebook/sam-vit-base"))
    push(known, "hf://me/gate", licence="CC-BY-4.0", datasets=["me/photos"])
    card = ModelCard(files_on(logged_in, "me/gate")["README.md"].decode())
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.license) == ("sam-mprompt", "object-detection", "cc-by-4.0")
    assert (data.base_model, data.base_model_relation) == ("facebook/sam-vit-base", "adapter")
    assert data.datasets == ["me/photos"]
    assert data.tags == ["crowd-counting", "sam-mprompt", "peft"]
    figures = {result.metric_type: result.metric_value for result in data.eval_results}
    assert figures == {"mae": 2.5, "rmse": 3.5}
    assert {(result.dataset_type, result.dataset_split) for result in data.eval_results} == {
        ("me/photos", "validation")
    }
    assert 'sam_mprompt.load("hf://me/gate")' in card.text
    assert "3 images were counted as" in card.text
    assert "| brightness | 90 | 160 |" in card.text


def test_a_licence_that_allows_more_than_base_or_images_do_is_told(logged_in, folder):
    recipe = folder.recipe.model_copy(
        update={"data": folder.recipe.data.model_copy(update={"licence": "cc-by-nc-4.0"})}
    )
    known = replace(folder, licences=LicencesFile(base="Apache-2.0", data="cc-by-nc-4.0"), recipe=recipe)
    [line] = push(known, "hf://me/gate", licence="mit").cautions
    assert line == "The licence of the training images, 'cc-by-nc-4.0', allows no commercial use; 'mit' does."
    assert push(known, "hf://me/gate", licence="cc-by-nc-sa-4.0").cautions == ()
