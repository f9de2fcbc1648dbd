import json
import re

import pytest
from PIL import Image


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
    done = run_cli(
        "finetune", "--recipe", "shb", "--data", crowd_folder, "--base", "random:tiny", "--out", tmp_path / "r"
    )
    assert done.code == 2
    assert "shanghaitech" in done.err
    assert not (tmp_path / "r" / "state").exists()
