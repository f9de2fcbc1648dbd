import json

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


def test_images_of_another_adapter_are_refused_where_several_count_together(run_cli, trained_run, crowd_folder):
    image = crowd_folder / "5.png"
    done = run_cli(
        "count", trained_run, image, "--together", trained_run, "--adapter", f"{image}={trained_run}/adapter"
    )
    assert done.code == 2
    assert "cannot be loaded beside adapters that count together" in done.err
