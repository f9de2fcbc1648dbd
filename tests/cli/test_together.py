import json

import numpy as np
import pytest

import sam_mprompt


def test_count_takes_the_mean_of_adapters_and_of_mirror_images_and_json_says_so(run_cli, trained_run, crowd_folder):
    image = crowd_folder / "5.png"
    asked = ("count", trained_run, image, "--together", trained_run, "--flip", "--json")
    found = json.loads(run_cli(*asked).out)
    assert (found["together"], found["flip"]) == ([str(trained_run)], True)
    mean = sam_mprompt.load(trained_run, device="cpu", flip=True).count(image).count
    assert found["images"][0]["count"] == pytest.approx(mean, rel=1e-6)
    assert "flip" not in json.loads(run_cli("count", trained_run, image, "--json").out)


def test_evaluate_compares_the_mean_of_mirror_images(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli("evaluate", trained_run, "--data", crowd_folder, "--flip", "--json", tmp_path / "a.json")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["flip"] is True
    counter = sam_mprompt.load(trained_run, device="cpu", flip=True)
    for row in found["rows"]:
        assert row["predicted"] == pytest.approx(counter.count(row["image"]).count, rel=1e-6)


def test_count_and_evaluate_take_the_mean_of_several_sizes_and_json_says_so(
    run_cli, trained_run, crowd_folder, tmp_path
):
    image = crowd_folder / "5.png"
    done = run_cli("count", trained_run, image, "--scales", "0.5,1,2", "--json")
    found = json.loads(done.out)
    assert found["scales"] == [0.5, 1, 2]
    counter = sam_mprompt.load(trained_run, device="cpu", scales=[0.5, 1, 2])
    alone = [sam_mprompt.load(trained_run, device="cpu", scales=[scale]).count(image).count for scale in (0.5, 1, 2)]
    assert len(set(alone)) == 3
    assert found["images"][0]["count"] == pytest.approx(counter.count(image).count, rel=1e-6)
    assert found["images"][0]["count"] == pytest.approx(np.mean(alone), rel=1e-5)
    file = tmp_path / "a.json"
    done = run_cli("evaluate", trained_run, "--data", crowd_folder, "--scales", "0.5,1,2", "--json", file)
    assert done.code == 0, done.err
    row = json.loads(file.read_text())["rows"][0]
    assert row["predicted"] == pytest.approx(counter.count(row["image"]).count, rel=1e-6)
    assert "scales" not in json.loads(run_cli("count", trained_run, image, "--json").out)


@pytest.mark.parametrize("text", ["", "a", "1,,2", "0.1", "1,1", "nan"])
def test_sizes_that_are_none_end_with_2_and_one_line(run_cli, trained_run, crowd_folder, text):
    done = run_cli("count", trained_run, crowd_folder / "5.png", "--scales", text)
    assert done.code == 2
    assert done.err.startswith("sam-mprompt: scales: expected 1 to 8 different numbers from 0.25 to 4")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("asked", [("--scales", "1,2"), ("--together", "street")])
def test_means_without_error_bars_say_why_and_not_to_calibrate(run_cli, crowd_folder, asked):
    done = run_cli("count", "street", crowd_folder / "5.png", *asked)
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("No error bars")]
    assert line in (
        "No error bars: adapters are calibrated at their images' own size alone.",
        "No error bars: several adapters together have no calibration: it is of each alone.",
    )


def test_images_of_another_adapter_are_refused_where_several_count_together(run_cli, trained_run, crowd_folder):
    image = crowd_folder / "5.png"
    done = run_cli(
        "count", trained_run, image, "--together", trained_run, "--adapter", f"{image}={trained_run}/adapter"
    )
    assert done.code == 2
    assert "cannot be loaded beside adapters that count together" in done.err
