from itertools import pairwise

import pytest

from benchmarks.accuracy import experiments, runs
from benchmarks.accuracy_table import write_table
from sam_mprompt.recipe import load_recipe

EXPERIMENT = {
    "name": "e",
    "title": "A title",
    "note": "A note.",
    "recipe": "demo",
    "data": "",
    "plot": "",
    "rows": [{"label": "plain", "seeds": [0, 1]}, {"label": "all", "seeds": [0]}],
}


def record(row, seed, mae):
    figures = {"epochs": 9, "seconds": 120.0, "val_mae": mae, "val_mean_mae": 91.5, "command": "sam-mprompt finetune"}
    return {"experiment": "e", "row": row, "seed": seed, **figures}


@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.name)
def test_every_row_of_every_experiment_is_a_valid_recipe(experiment):
    for run in runs(experiment):
        arguments = run.arguments(None)
        sets = [value for flag, value in pairwise(arguments) if flag == "--set"]
        recipe = load_recipe(experiment.recipe, sets)
        assert recipe.train.seed == run.seed


def test_no_two_runs_share_a_folder_and_first_seeds_come_first():
    every = [run for experiment in experiments() for run in runs(experiment)]
    assert len({run.folder for run in every}) == len(every)
    for experiment in experiments():
        seeds = [run.seed for run in runs(experiment)]
        assert seeds == sorted(seeds)


def test_the_table_shows_mean_spread_and_every_seed(tmp_path):
    write_table(
        tmp_path, [EXPERIMENT], [record("plain", 0, 20.0), record("plain", 1, 24.0), record("all", 0, 18.0)], None
    )
    text = (tmp_path / "accuracy.md").read_text()
    assert "| predicting the mean of train |  |  | 91.5 |" in text
    assert "| plain | 9 | 2.0 | 22.0 ± 2.8 (20.0, 24.0) |" in text
    assert "| all | 9 | 2.0 | 18.0 |" in text


def test_an_experiment_without_runs_is_left_out_of_the_table(tmp_path):
    write_table(tmp_path, [EXPERIMENT], [], None)
    assert "A title" not in (tmp_path / "accuracy.md").read_text()


def test_a_plot_is_drawn_where_the_experiment_asks_for_one(tmp_path):
    rows = [{"label": f"{x} %", "line": "all", "x": x, "seeds": [0]} for x in (0, 50)]
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    experiment = EXPERIMENT | {"rows": rows, "plot": "noise.png"}
    write_table(folder, [experiment], [record("0 %", 0, 20.0), record("50 %", 0, 30.0)], None)
    assert (tmp_path / "noise.png").read_bytes().startswith(b"\x89PNG")
    assert "(../noise.png)" in (folder / "accuracy.md").read_text()
