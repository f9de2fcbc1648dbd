"""`plan`, and `finetune` without a recipe, on small scenes with an injected clock."""

import json
import tomllib

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.planning import machine, timing
from sam_mprompt.planning.machine import Machine
from sam_mprompt.planning.timing import Timing
from sam_mprompt.recipe.schema import load_recipe, parse_recipe
from sam_mprompt.training.held_out import read_held_out

SHORT = ["--set", "train.epochs=1", "--set", "train.folds=2", "--set", "train.fold_epochs=1"]
SHORT += ["--set", "train.workers=0", "--set", "model.stem_blocks=0", "--set", "model.stem_channels=8"]
SHORT += ["--set", "tuning.bottleneck=8"]


@pytest.fixture
def photos(tmp_path):
    """Four training images of 96 x 96 pixels with heads 12 pixels apart."""
    folder = tmp_path / "station"
    folder.mkdir()
    for number in range(4):
        points = [(12 * column + 6, 12 * row + 6) for column in range(3 + number) for row in range(3)]
        image = np.full((96, 96, 3), 50, np.uint8)
        for x, y in points:
            image[y - 2 : y + 3, x - 2 : x + 3] = 220
        Image.fromarray(image).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("".join(f"{x} {y}\n" for x, y in points))
    return folder


@pytest.fixture(autouse=True)
def timed(monkeypatch, tmp_path):
    """A machine of two cores without a base, on which a step takes half a second; returns the recipes it timed."""
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "this_machine", lambda: Machine(2, 16.0, bases=("sam-tiny",)))

    def clocked(recipe, root, observer):
        seen.append(recipe)
        return Timing(0.5, 0.1)

    monkeypatch.setattr(timing, "time_training", clocked)
    return seen


def test_plan_prints_a_recipe_on_stdout_and_the_reasons_on_stderr(run_cli, photos, tmp_path):
    done = run_cli("plan", "--data", photos, "--minutes", 20)
    assert done.code == 0, done.err
    recipe = parse_recipe(tomllib.loads(done.out), source="stdout")
    assert (recipe.name, recipe.data.format, recipe.train.folds) == ("station", "points", 2)
    assert "because" in done.err.splitlines()[0]
    assert "neighbouring heads are 12 pixels apart" in done.err
    assert "# neighbouring heads are 12 pixels apart" in done.out
    (tmp_path / "mine.toml").write_text(done.out)
    assert load_recipe(tmp_path / "mine.toml") == recipe


def test_plan_as_json_tells_what_was_seen(run_cli, photos):
    told = json.loads(run_cli("plan", "--data", photos, "--json").out)
    assert (told["profile"]["images"], told["profile"]["spacing"], told["machine"]["cores"]) == (4, 12.0, 2)
    assert {"key", "value", "because"} == set(told["rows"][0])


def test_more_minutes_give_more_epochs(run_cli, photos):
    short, long = (
        tomllib.loads(run_cli("plan", "--data", photos, "--base", "sam-tiny", "--minutes", n).out)["train"]["epochs"]
        for n in (5, 10)
    )
    assert long > 1.8 * short


def test_a_base_and_a_format_can_be_given(run_cli, photos):
    done = run_cli("plan", "--data", photos, "--base", "sam-tiny", "--format", "points")
    table = tomllib.loads(done.out)
    assert (table["model"]["base"], table["data"]["cache"]) == ("sam-tiny", "features")
    wrong = run_cli("plan", "--data", photos, "--format", "nwpu")
    assert (wrong.code, "not of format 'nwpu'" in wrong.err, wrong.err.count("\n")) == (2, True, 1)


def test_a_label_and_columns_of_other_names_are_planned_and_trained_with(run_cli, photos, tmp_path, tiny_base):
    rows = [
        f"{file.stem}.png,{line.replace(' ', ',')},{kind}"
        for file in sorted(photos.glob("*.txt"))
        for line, kind in zip(file.read_text().splitlines(), ["adult", "adult", "child"] * 9, strict=False)
    ]
    for file in photos.glob("*.txt"):
        file.unlink()
    (photos / "crowd.csv").write_text("\n".join(["photo,cx,cy,label", *rows]))
    refused = run_cli("plan", "--data", photos)
    assert (refused.code, "--columns image=photo,x=cx,y=cy" in refused.err) == (2, True)
    columns = ("--data", photos, "--columns", "image=photo,x=cx,y=cy")
    refused = run_cli("plan", *columns)
    assert (refused.code, "several labels (adult, child)" in refused.err) == (2, True)
    told = json.loads(run_cli("plan", *columns, "--label", "adult", "--json").out)
    assert told["profile"]["heads"] == [6, 9, 12]
    assert {"key": "data.label", "value": "adult", "because": "it was given"} in told["rows"]
    done = run_cli("finetune", *columns, "--label", "adult", "--base", tiny_base, *SHORT)
    assert done.code == 0, done.err
    data = load_recipe(tmp_path / "runs" / "station" / "recipe.toml").data
    assert (data.label, data.columns) == ("adult", "image=photo,x=cx,y=cy")
    assert sorted(row.heads for row in read_held_out(tmp_path / "runs" / "station" / "held_out.jsonl")) == [
        6,
        8,
        10,
        12,
    ]


def test_finetune_without_a_recipe_plans_one_trains_it_and_keeps_it_with_its_reasons(
    run_cli, photos, tmp_path, timed, tiny_base
):
    done = run_cli("finetune", "--data", photos, "--minutes", 5, "--base", tiny_base, *SHORT)
    assert done.code == 0, done.err
    assert "held out in 2 folds (predicting the mean:" in done.out
    assert "neighbouring heads are 12 pixels apart" in done.err
    run = tmp_path / "runs" / "station"
    kept = load_recipe(run / "plan.toml")
    assert kept == load_recipe(run / "recipe.toml")
    assert kept == timed[0].model_copy(update={"train": kept.train, "loss": kept.loss})
    rows = read_held_out(run / "held_out.jsonl")
    assert sorted(row.heads for row in rows) == [9, 12, 15, 18]
    other = run_cli("finetune", "--data", photos, "--resume", "--minutes", 9)
    assert (other.code, "the run has its plan" in other.err) == (2, True)
    again = run_cli("finetune", "--data", photos, "--resume", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["folds"] == 2
    assert len(timed) == 1


def test_a_counter_that_is_no_better_than_the_mean_is_not_passed_off_as_one(run_cli, photos, tiny_base):
    done = run_cli("finetune", "--data", photos, "--base", tiny_base, *SHORT, "--set", "train.lr=1e-9")
    assert done.code == 0, done.err
    assert "not to be relied on" in done.out


def test_errors_on_images_that_all_trained_are_not_passed_off_as_those_of_unseen_ones(run_cli, photos, tiny_base):
    run_cli("finetune", "--data", photos, "--base", tiny_base, *SHORT, "--out", "runs/folds")
    known = run_cli("evaluate", "runs/folds", "--data", photos, "--split", "val")
    assert (known.code, "images that it knows" in known.err) == (0, True)
    run_cli(
        "finetune",
        "--data",
        photos,
        "--base",
        tiny_base,
        "--set",
        "train.epochs=1",
        "--set",
        "train.folds=0",
        "--out",
        "runs/split",
    )
    held_out = run_cli("evaluate", "runs/split", "--data", photos, "--split", "val")
    assert (held_out.code, "images that it knows" in held_out.err) == (0, False)


def test_finetune_with_neither_recipe_nor_data_says_what_it_needs(run_cli):
    done = run_cli("finetune")
    assert (done.code, "--data DIR to plan a recipe" in done.err, done.err.count("\n")) == (2, True, 1)


def test_minutes_beside_a_recipe_are_refused(run_cli, photos):
    done = run_cli("finetune", "--recipe", "shb-scratch", "--data", photos, "--minutes", 3)
    assert (done.code, "--minutes" in done.err) == (2, True)


def test_processes_of_a_launcher_do_not_plan_each_for_itself(run_cli, photos, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run_cli("finetune", "--data", photos)
    assert (done.code, "expected a recipe" in done.err) == (2, True)


def test_a_plan_that_is_refused_leaves_no_run_behind(run_cli, photos, tmp_path):
    done = run_cli("finetune", "--data", photos, "--set", "train.epoch=1")
    assert (done.code, "Did you mean 'epochs'" in done.err) == (2, True)
    assert not (tmp_path / "runs" / "station").exists()
