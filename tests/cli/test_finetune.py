import json
import re
import shutil

import pytest
from PIL import Image

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


def test_finetune_numbers_a_second_run_and_overwrites_nothing(
    run_cli, tiny_recipe, crowd_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    runs = []
    for _ in range(2):
        done = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--set", "train.epochs=1", "--json")
        assert done.code == 0, done.err
        runs.append(json.loads(done.out)["run"])
    assert runs == ["runs/tiny", "runs/tiny-2"]
    again = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", "runs/tiny")
    assert (again.code, "not empty" in again.err) == (2, True)


def test_finetune_prints_what_trains_and_plain_lines_when_not_on_a_terminal(
    run_cli, tiny_recipe, crowd_folder, tmp_path
):
    done = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", tmp_path / "r")
    assert re.search(r"parameters train \(\d+\.\d %\)", done.err)
    assert done.err.count("val_mae") == 3
    assert "\x1b[" not in done.err
    assert "validation MAE" in done.out
    assert "predicting the mean" in done.out


@pytest.mark.slow
def test_a_run_on_procedural_scenes_is_resumed_by_its_folder_alone(run_cli, tmp_path):
    run, scenes = tmp_path / "run", ["--set", "synthetic.train=2", "--set", "synthetic.val=1"]
    done = run_cli("finetune", "--recipe", "demo", "--out", run, *SMALL, *scenes)
    assert done.code == 0, done.err
    longer = run_cli("finetune", "--resume", "--out", run, "--set", "train.epochs=2", "--json")
    assert longer.code == 0, longer.err
    assert json.loads(longer.out)["epochs"] == 2
    nothing = run_cli("finetune", "--resume", "--out", tmp_path / "other")
    assert (nothing.code, "Expected --recipe NAME" in nothing.err) == (2, True)


def folder_with(tmp_path, annotation, image=True):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (64, 64)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("10 10\n20 20\n")
    if annotation is None:
        (folder / "a.txt").unlink()
    else:
        (folder / "a.txt").write_text(annotation)
    return folder


@pytest.mark.parametrize(
    ("annotation", "said"), [(None, "without annotation"), ("5 5\n99 99\n-1 5\n", "outside"), ("", None)]
)
def test_odd_annotations_are_counted_and_training_goes_on(run_cli, tiny_recipe, tmp_path, annotation, said):
    folder = folder_with(tmp_path, annotation)
    more = ["--set", "targets.pseudo_mask=points", "--set", "train.epochs=1", "--set", "data.val_fraction=0.4"]
    done = run_cli("finetune", "--recipe", tiny_recipe, "--data", folder, "--out", tmp_path / "run", *more)
    checked = run_cli("data", "check", folder, "--format", "points")
    assert done.code == 0, done.err
    if said is not None:
        assert said in re.sub(r"\s+", " ", done.err + checked.out + checked.err)


def test_a_dataset_of_another_format_is_refused_and_says_what_it_looked_for(run_cli, crowd_folder, tmp_path):
    said = ["--data", crowd_folder, "--format", "shanghaitech"]
    done = run_cli("finetune", "--recipe", "shb", *said, "--base", "random:tiny", "--out", tmp_path / "r")
    assert done.code == 2
    assert "shanghaitech" in done.err
    assert not (tmp_path / "r" / "state").exists()


def test_what_is_refused_inside_the_first_step_leaves_no_folder_in_the_way(
    run_cli, tiny_recipe, crowd_folder, tmp_path
):
    arguments = ["finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", tmp_path / "r"]
    refused = run_cli(*arguments, "--set", "data.crop=100", "--set", "train.epochs=1")
    assert (refused.code, "data.crop: expected a multiple of 16" in refused.err) == (2, True)
    assert not (tmp_path / "r").exists()
    again = run_cli(*arguments, "--set", "train.epochs=1")
    assert again.code == 0, again.err


def test_a_cache_that_cannot_be_written_is_refused_before_the_run_is_begun(
    run_cli, tiny_recipe, crowd_folder, tmp_path
):
    (tmp_path / "file").write_text("kept")
    arguments = ["--recipe", tiny_recipe, "--data", crowd_folder, "--out", tmp_path / "r", "--set", "data.cache=images"]
    done = run_cli("finetune", *arguments, "--set", f"data.cache_root={tmp_path / 'file' / 'cache'}")
    assert (done.code, "Cannot write" in done.err) == (2, True)
    assert not (tmp_path / "r").exists()


def test_training_on_several_labels_tells_the_key_and_evaluation_takes_the_recipes_label(
    run_cli, crowd_folder, tiny_recipe, tmp_path
):
    several, plain = (relabelled(crowd_folder, tmp_path / name, names) for name, names in LABELLED.items())
    train = ["finetune", "--recipe", tiny_recipe, "--set", "train.epochs=1", "--set", "targets.pseudo_mask=points"]
    refused = run_cli(*train, "--data", several, "--out", tmp_path / "run")
    assert refused.code == 2
    assert "several labels (adult, child)" in refused.err
    assert "--label NAME" in refused.err
    assert not (tmp_path / "run").exists()
    done = run_cli(*train, "--data", several, "--out", tmp_path / "run", "--set", "data.label=adult")
    assert done.code == 0, done.err

    def heads(data, *more):
        told = run_cli("evaluate", tmp_path / "run", "--data", data, *more, "--json", tmp_path / "e.json")
        assert told.code == 0, told.err
        return sum(row["actual"] for row in json.loads((tmp_path / "e.json").read_text())["rows"]), told.err

    in_all = sum(len(json.loads((crowd_folder / f"{index}.json").read_text())["points"]) for index in (9, 10))
    of_adults, said = heads(several)
    assert of_adults == 2, said
    assert heads(several, "--label", "child")[0] == in_all - 2
    of_all, said = heads(plain)
    assert of_all == in_all
    assert "has no label 'adult', the recipe's" in said


LABELLED = {"several": ("adult", "child"), "plain": None}


def relabelled(crowd_folder, folder, labels):
    """A copy of a dataset without boxes; with two labels the first head of an image has the first of them."""
    shutil.copytree(crowd_folder, folder)
    for file in folder.glob("*.json"):
        points = json.loads(file.read_text())["points"]
        named = {"labels": [labels[min(place, 1)] for place in range(len(points))]} if labels else {}
        file.write_text(json.dumps({"points": points, **named}))
    return folder
