import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def test_evaluate_prints_metrics_and_writes_json_and_worst_cases(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli(
        *("evaluate", trained_run, "--data", crowd_folder, "--split", "val", "--per-image"),
        *("--json", tmp_path / "e.json", "--worst", tmp_path / "w", "--submission", tmp_path / "s.txt"),
    )
    assert done.code == 0, done.err
    assert "MAE" in done.out
    assert "RMSE" in done.out
    record = json.loads((tmp_path / "e.json").read_text())
    errors = [row["predicted"] - row["actual"] for row in record["rows"]]
    assert record["metrics"]["mae"] == pytest.approx(np.abs(errors).mean())
    assert record["metrics"]["rmse"] == pytest.approx(np.sqrt(np.square(errors).mean()))
    assert len(list((tmp_path / "w").iterdir())) == 3
    assert all(re.fullmatch(r"\d+ \d+\.\d{4}", line) for line in (tmp_path / "s.txt").read_text().splitlines())


def test_evaluate_locates_heads_when_asked(run_cli, trained_run, crowd_folder, tmp_path):
    asked = ["evaluate", trained_run, "--data", crowd_folder, "--split", "val", "--json", tmp_path / "e.json"]
    done = run_cli(*asked, "--localise", "--locations", tmp_path / "l.txt")
    assert done.code == 0, done.err
    assert "sigma_s" in done.out
    found = json.loads((tmp_path / "e.json").read_text())["localisation"]
    assert found["sigma_s"]["actual"] == found["sigma_l"]["actual"] > 0
    assert 0 <= found["sigma_s"]["f1"] <= found["sigma_l"]["f1"] <= 1
    lines = [line.split() for line in (tmp_path / "l.txt").read_text().splitlines()]
    assert all(len(line) == 2 + 2 * int(line[1]) for line in lines)
    assert "sigma_s" not in run_cli(*asked).out


def test_evaluate_compares_a_runs_masks_with_head_boxes(run_cli, trained_run, crowd_folder, tmp_path):
    asked = ["--data", crowd_folder, "--split", "val", "--masks"]
    done = run_cli("evaluate", trained_run, *asked, "--json", tmp_path / "e.json")
    assert done.code == 0, done.err
    assert "Mask IoU" in done.out
    assert 0 <= json.loads((tmp_path / "e.json").read_text())["mask_iou"] <= 1
    run_cli("export", trained_run, "--to", tmp_path / "copy")
    refused = run_cli("evaluate", tmp_path / "copy", *asked)
    assert (refused.code, "keeps no segmenter" in refused.err) == (2, True)


@pytest.mark.slow
def test_files_are_written_even_when_the_reader_of_stdout_has_gone(trained_run, crowd_folder, tmp_path):
    base = [sys.executable, "-m", "sam_mprompt"]
    evaluate = ["evaluate", trained_run, "--data", crowd_folder, "--json", tmp_path / "e.json"]
    with subprocess.Popen([*base, *evaluate], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert json.loads((tmp_path / "e.json").read_text())["rows"]


def test_the_run_and_its_evaluation_agree_on_the_validation_split(run_cli, trained_run, crowd_folder, tmp_path):
    run_cli("evaluate", trained_run, "--data", crowd_folder, "--split", "val", "--json", tmp_path / "e.json")
    expected = json.loads((trained_run / "adapter" / "metrics.json").read_text())["val"]
    assert json.loads((tmp_path / "e.json").read_text())["metrics"] == pytest.approx(expected, rel=1e-4)


def test_a_split_without_an_image_is_refused_and_says_how_to_look_at_the_data(run_cli, trained_run, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("10 10\n")
    (tmp_path / "train.txt").write_text("a.png\n")
    (tmp_path / "test.txt").write_text("")
    done = run_cli("evaluate", trained_run, "--data", tmp_path, "--split", "test")
    assert done.code == 2
    assert "data check" in done.err


@pytest.fixture
def camera_folder(crowd_folder, tmp_path):
    """The test images of a dataset in grey, as 8 bits under long and foreign names, and as 12 of 16 bits."""
    stems = {"9": "n" * 251, "10": os.fsdecode(b"caf\xe9")}
    for folder in ("grey", "camera"):
        test = tmp_path / folder / "test"
        test.mkdir(parents=True)
        for number, stem in stems.items():
            grey = np.asarray(Image.open(crowd_folder / f"{number}.png").convert("L")).copy()
            grey[0, 0] = 255
            wide = (grey.astype(np.float64) * 4095 / 255).round().astype(np.uint16)
            Image.fromarray(grey if folder == "grey" else wide).save(test / f"{stem}.png")
            points = json.loads((crowd_folder / f"{number}.json").read_text())["points"]
            (test / f"{stem}.txt").write_text("".join(f"{x} {y}\n" for x, y in points))
    return tmp_path / "grey", tmp_path / "camera"


def test_worst_cases_with_any_name_are_drawn_and_stretched_images_count_as_their_8_bits_do(
    run_cli, trained_run, camera_folder, tmp_path
):
    figures = []
    for folder, options in zip(camera_folder, ([], ["--stretch"]), strict=True):
        asked = ["evaluate", trained_run, "--data", folder, "--json", tmp_path / "e.json", "--worst", tmp_path / "w"]
        done = run_cli(*asked, *options)
        assert done.code == 0, done.err
        figures.append(json.loads((tmp_path / "e.json").read_text())["metrics"])
        assert len(list((tmp_path / "w").iterdir())) == 2
    assert figures[1] == pytest.approx(figures[0], rel=1e-4)


def test_an_image_above_the_limit_is_left_out_of_an_evaluation_and_told(run_cli, trained_run, crowd_folder, tmp_path):
    asked = ["evaluate", trained_run, "--data", crowd_folder, "--json", tmp_path / "e.json"]
    done = run_cli(*asked, "--max-pixels", 75 * 80)
    assert done.code == 0, done.err
    assert "unreadable images, left out: 1 (9.png): Image" in done.err
    assert "128x96 pixels, more than the 6000 accepted" in done.err
    assert len(json.loads((tmp_path / "e.json").read_text())["rows"]) == 1
