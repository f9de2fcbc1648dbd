import json

import pytest
from hub_server import TOKEN


@pytest.fixture
def pushed(hub, run_cli, trained_run, monkeypatch):
    """An adapter on the Hub, by its name at a commit, as `adapters push` prints it."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = run_cli("adapters", "push", trained_run, "hf://me/gate", "--license", "cc-by-4.0", "--dataset", "me/photos")
    assert done.code == 0, done.err
    name, _size, _unit, seen = done.out.split()
    assert seen == "private"
    assert name.startswith("hf://me/gate@")
    return name


def test_what_was_pushed_is_named_by_every_command_that_takes_an_adapter(
    run_cli, pushed, trained_run, crowd_folder, tmp_path, monkeypatch
):
    image = crowd_folder / "5.png"
    here = json.loads(run_cli("count", trained_run, image, "--json").out)
    there = json.loads(run_cli("count", pushed, image, "--json").out)
    assert (there["adapter"], there["images"]) == (pushed, here["images"])
    assert run_cli("evaluate", pushed, "--data", crowd_folder, "--json", tmp_path / "e.json").code == 0
    assert json.loads((tmp_path / "e.json").read_text())["adapter"] == pushed
    assert run_cli("describe", pushed, "--size", 64).code == 0
    assert run_cli("export", pushed, "--to", tmp_path / "own").code == 0
    assert json.loads(run_cli("adapters", "show", pushed, "--json").out)["source"] == pushed
    assert "intact" in run_cli("adapters", "verify", pushed).out
    listed = {row["name"]: row["fault"] for row in json.loads(run_cli("adapters", "list", "--json").out)}
    assert listed[pushed] == ""


def test_without_a_revision_the_commit_is_told_once_and_recorded(run_cli, pushed, crowd_folder):
    done = run_cli("count", "hf:me/gate", crowd_folder / "5.png", "--json")
    assert json.loads(done.out)["adapter"] == pushed
    assert done.err.count(f"'hf://me/gate' names no revision: took commit {pushed.rpartition('@')[2]}") == 1


def test_the_hubs_copy_is_not_calibrated_in_place(run_cli, pushed, crowd_folder, tmp_path):
    done = run_cli("calibrate", pushed, "--data", crowd_folder)
    assert (done.code, f"'{pushed}' is the Hub's and stays as it is" in done.err) == (2, True)
    assert run_cli("calibrate", pushed, "--data", crowd_folder, "--to", tmp_path / "own").code == 0


def test_a_training_that_starts_from_the_hub_records_the_commit(run_cli, pushed, tiny_recipe, crowd_folder, tmp_path):
    settings = ["--set", "train.init_from=hf://me/gate", "--set", "train.epochs=1", "--out", tmp_path / "run"]
    done = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, *settings)
    assert done.code == 0, done.err
    assert f'init_from = "{pushed}"' in (tmp_path / "run" / "adapter" / "recipe.toml").read_text()
    assert "licence not known; whoever published its weights can tell" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "those of base and images are not known. Give one with --license ID."),
        (("--license", "apache"), "Did you mean 'apache-2.0'?"),
        (("--license", "mit"), "nobody is logged in to the Hub. Log in with 'hf auth login', or set $HF_TOKEN."),
    ],
)
def test_what_a_push_lacks_is_said_with_what_to_do(run_cli, hub, trained_run, words, said):
    done = run_cli("adapters", "push", trained_run, "hf://me/gate", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert hub.repos == {}


def test_no_command_takes_a_token(run_cli, hub, trained_run):
    assert run_cli("adapters", "push", trained_run, "hf://me/gate", "--token", "hf_x").code == 2
