import csv
import json
import re
import shutil

import numpy as np
import pytest

from sam_mprompt.adapter.calibration_file import CalibrationFile
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.counting.counter import load


@pytest.fixture(scope="session")
def calibrated(trained_run, tmp_path_factory):
    """The trained adapter with the errors of thirty images; tests only read it."""
    folder = tmp_path_factory.mktemp("calibrated") / "adapter"
    heads = np.arange(10, 40)
    errors = np.tile([-2.0, -1.0, 3.0], 10)
    known = CalibrationFile(origin="images", heads=tuple(map(int, heads)), counted=tuple(map(float, heads - errors)))
    AdapterFolder.read(trained_run / "adapter").recalibrate(known, folder)
    return folder


def test_count_shows_error_bars_in_the_table_the_csv_file_and_json(run_cli, calibrated, crowd_folder, tmp_path):
    image = crowd_folder / "5.png"
    expected = load(calibrated, device="cpu").count(image)
    bars = expected.interval(0.8)
    done = run_cli("count", calibrated, image, "--level", 0.8, "--csv", tmp_path / "c.csv")
    assert done.code == 0, done.err
    assert done.err == ""
    assert f"{expected.count:,.0f} (80 %: {bars.low:,.0f} to {bars.high:,.0f})" in done.out
    [row] = csv.DictReader((tmp_path / "c.csv").open())
    assert list(row) == ["image", "count", "low", "high", "level"]
    assert [float(row[name]) for name in ("low", "high", "level")] == pytest.approx(
        [bars.low, bars.high, 0.8], abs=1e-4
    )
    [shown] = json.loads(run_cli("count", calibrated, image, "--level", 0.8, "--json").out)["images"]
    assert shown["interval"] == pytest.approx({"low": bars.low, "high": bars.high, "level": 0.8})
    assert shown["why_no_interval"] is None


def test_without_enough_images_the_reason_is_told_once(run_cli, trained_run, crowd_folder, tmp_path):
    images = [crowd_folder / "0.png", crowd_folder / "5.png"]
    done = run_cli("count", trained_run, *images, "--csv", tmp_path / "c.csv")
    assert done.err.splitlines() == [
        "No error bars: 90 % needs 9 images that were not trained on, and 3 are known: the highest level is 75 %. Give "
        "a lower --level, or more images to 'sam-mprompt calibrate'."
    ]
    assert (tmp_path / "c.csv").read_text().startswith("image,count\n")
    shown = json.loads(run_cli("count", trained_run, *images, "--json").out)["images"]
    assert [row["interval"] for row in shown] == [None, None]
    assert all(row["why_no_interval"].startswith("90 % needs 9 images") for row in shown)


def test_an_adapter_without_calibration_says_how_to_get_one(run_cli, crowd_folder):
    done = run_cli("count", "adapters/demo", crowd_folder / "0.png")
    assert (done.code, len(done.err.splitlines())) == (0, 1)
    assert "demo' has no calibration: it was written without one. Run 'sam-mprompt calibrate ADAPTER" in done.err


@pytest.mark.parametrize(
    "begun", ["image,count\na.png,1.0000\n", "image,count,low,high,level\na.png,1.0,0.5,2.0,0.9\n"]
)
def test_a_csv_file_goes_on_in_the_columns_that_it_was_begun_with(run_cli, calibrated, crowd_folder, tmp_path, begun):
    file = tmp_path / "c.csv"
    file.write_text(begun)
    done = run_cli("count", calibrated, crowd_folder / "0.png", "--csv", file, "--resume-csv")
    assert done.code == 0, done.err
    lines = file.read_text().splitlines()
    assert "\n".join(lines[:2]) + "\n" == begun
    assert lines[2].count(",") == lines[0].count(",")
    assert ("was begun without error bars" in done.err) == (lines[0] == "image,count")


def test_a_csv_file_with_error_bars_goes_on_with_empty_cells_where_there_are_none(
    run_cli, trained_run, crowd_folder, tmp_path
):
    file = tmp_path / "c.csv"
    file.write_text("image,count,low,high,level\na.png,1.0,0.5,2.0,0.9\n")
    assert run_cli("count", trained_run, crowd_folder / "0.png", "--csv", file, "--resume-csv").code == 0
    assert file.read_text().splitlines()[2].endswith(",,,")


def test_a_level_that_is_none_is_refused_before_anything_is_loaded(run_cli, tmp_path, crowd_folder):
    done = run_cli("count", tmp_path / "nothing", crowd_folder / "0.png", "--level", 90)
    assert (done.code, "Did you mean 0.9?" in done.err) == (2, True)


def test_evaluate_tells_how_often_the_error_bars_hold_the_truth(run_cli, calibrated, crowd_folder, tmp_path):
    asked = ["evaluate", calibrated, "--data", crowd_folder, "--split", "test", "--json", tmp_path / "e.json"]
    done = run_cli(*asked, "--level", 0.8)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "e.json").read_text())
    inside = [row["low"] <= row["actual"] <= row["high"] for row in record["rows"]]
    width = np.mean([row["high"] - row["low"] for row in record["rows"]])
    assert record["coverage"] == pytest.approx({"level": 0.8, "images": 2, "inside": np.mean(inside), "width": width})
    assert re.search(rf"Error bars of 80 % hold {sum(inside)} of 2 true counts \(.*%\), and are .* wide", done.out)


def test_evaluate_says_why_there_are_no_error_bars(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli("evaluate", trained_run, "--data", crowd_folder, "--json", tmp_path / "e.json")
    record = json.loads((tmp_path / "e.json").read_text())
    assert record["coverage"] is None
    assert record["why_no_interval"].startswith("90 % needs 9 images")
    assert "No error bars: 90 % needs 9 images" in done.out


def test_calibrate_keeps_what_the_images_of_a_split_were_counted_as(run_cli, trained_run, crowd_folder, tmp_path):
    adapter = shutil.copytree(trained_run / "adapter", tmp_path / "adapter")
    done = run_cli("calibrate", adapter, "--data", crowd_folder, "--split", "train", "--json")
    assert done.code == 0, done.err
    assert "right only if the adapter was not trained on these images" in done.err
    shown = json.loads(done.out)
    assert (shown["images"], shown["adapter"], shown["examples"]) == (6, str(adapter), [])
    found = AdapterFolder.read(adapter)
    counter = load(adapter, device="cpu")
    assert found.calibration.origin == "images"
    assert found.calibration.heads == (3, 0, 7, 9, 11, 13)
    counts = [counter.count(crowd_folder / f"{number}.png").count for number in range(6)]
    assert found.calibration.counted == pytest.approx(counts, rel=1e-5)
    assert counter.calibration.images == 6


def test_calibrate_writes_a_copy_and_prints_error_bars(run_cli, trained_run, crowd_folder, tmp_path):
    folder = tmp_path / "all"
    shutil.copytree(crowd_folder, folder)
    (folder / "val.txt").write_text("".join(f"{number}.png\n" for number in range(9)))
    for name in ("train.txt", "test.txt"):
        (folder / name).unlink()
    done = run_cli("calibrate", trained_run, "--data", folder, "--to", tmp_path / "copy")
    assert done.code == 0, done.err
    assert "9 images, MAE" in done.out
    assert "90 % error bars" in done.out
    assert load(tmp_path / "copy", device="cpu").count(crowd_folder / "0.png").interval() is not None
    assert AdapterFolder.read(trained_run / "adapter").calibration.origin == "val"


def test_calibrating_with_the_test_split_says_what_that_costs(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli("calibrate", trained_run, "--data", crowd_folder, "--split", "test", "--to", tmp_path / "copy")
    assert done.code == 0
    assert "is no test any more" in done.err
    assert "the highest level is 66.6 %" in done.err


def test_the_bundled_adapter_is_not_calibrated_in_its_place(run_cli, crowd_folder):
    done = run_cli("calibrate", "adapters/demo", "--data", crowd_folder)
    assert (done.code, "give a folder of your own with --to" in done.err) == (2, True)
