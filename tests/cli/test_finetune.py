import json

import pytest

from sam_mprompt.recipe.schema import load_recipe

SMALL = ["--base", "random:tiny", "--set", "train.epochs=1", "--set", "train.workers=0", "--set", "data.crop=64"]
SMALL += ["--set", "data.min_side=64", "--set", "train.validate_every=1", "--set", "train.preview_every=0"]


@pytest.fixture
def points_folder(crowd_folder, tmp_path):
    """The user's own format without boxes."""
    folder = tmp_path / "my-points"
    folder.mkdir()
    for path in crowd_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
        if path.suffix == ".json":
            record = json.loads(path.read_text())
            (folder / path.name).write_text(json.dumps({"points": record["points"]}))
    return folder


@pytest.mark.parametrize("command", ["finetune", "ablate"])
def test_a_recipe_of_procedural_data_refuses_a_folder_and_names_recipes_that_fit(
    run_cli, crowd_folder, tmp_path, command
):
    done = run_cli(command, "--recipe", "demo", "--data", crowd_folder, "--out", tmp_path / "run")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "shb-tiny-prompt, sha-tiny-prompt" in done.err
    assert "--data" in done.err
    assert not (tmp_path / "run").exists()


def test_a_recipe_for_a_dataset_trains_on_a_folder_of_ones_own_and_saves_its_format(run_cli, points_folder, tmp_path):
    run = tmp_path / "run"
    done = run_cli("finetune", "--recipe", "sha-tiny-prompt", "--data", points_folder, "--out", run, *SMALL)
    assert done.code == 0, done.err
    assert load_recipe(run / "recipe.toml").data.format == "points"
    assert load_recipe(run / "adapter" / "recipe.toml").data.format == "points"
    arguments = ["--recipe", "sha-tiny-prompt", "--data", points_folder, "--out", run, "--resume"]
    longer = run_cli("finetune", *arguments, "--set", "train.epochs=2")
    assert longer.code == 0, longer.err


@pytest.mark.parametrize("how", [["--format", "nwpu"], ["--set", "data.format=nwpu"]])
def test_a_format_that_is_given_decides(run_cli, points_folder, tmp_path, how):
    done = run_cli("finetune", "--recipe", "shb", "--data", points_folder, "--out", tmp_path / "run", *SMALL, *how)
    assert done.code == 2
    assert "is not of format 'nwpu'" in done.err
    assert "looks like format 'points'" in done.err


def test_a_format_that_nobody_knows_is_refused(run_cli, points_folder, tmp_path):
    done = run_cli("finetune", "--recipe", "shb", "--data", points_folder, "--out", tmp_path / "r", "--format", "point")
    assert done.code == 2
    assert "Did you mean 'points'?" in done.err


def test_a_folder_of_no_format_says_what_was_looked_for(run_cli, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run_cli("finetune", "--recipe", "shb", "--data", tmp_path / "empty", "--out", tmp_path / "run")
    assert done.code == 2
    assert "Looked for shanghaitech (train_data/images/)" in done.err


def test_without_a_folder_the_recipes_format_holds(run_cli, points_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAM_MPROMPT_DATA", str(tmp_path / "shared"))
    (tmp_path / "shared" / "shanghaitech").mkdir(parents=True)
    points_folder.rename(tmp_path / "shared" / "shanghaitech" / "part_A")
    done = run_cli("finetune", "--recipe", "sha-tiny-prompt", "--out", tmp_path / "run", *SMALL)
    assert done.code == 2
    assert "is not of format 'shanghaitech'" in done.err
    done = run_cli("finetune", "--recipe", "sha-tiny-prompt", "--out", tmp_path / "run", *SMALL, "--format", "points")
    assert done.code == 0, done.err
