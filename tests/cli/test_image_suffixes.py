"""Every kind of photograph, under suffixes as cameras and people write them, from the folder to the count."""

import json

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from sam_mprompt.planning import machine, timing
from sam_mprompt.planning.machine import Machine
from sam_mprompt.planning.timing import Timing

READ = {
    "jpg": "JPEG", "JPG": "JPEG", "Jpeg": "JPEG", "jfif": "JPEG", "png": "PNG", "tif": "TIFF", "TIFF": "TIFF",
    "webp": "WEBP", "WebP": "WEBP", "bmp": "BMP", "HEIC": "HEIF",
}  # fmt: skip


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Return a function that makes a folder of three images of one suffix, with a head in each."""
    monkeypatch.setattr(machine, "this_machine", lambda: Machine(2, 16.0, bases=("sam-tiny",)))
    monkeypatch.setattr(timing, "time_training", lambda recipe, root, observer: Timing(0.5, 0.1))

    def made(suffix):
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            path = tmp_path / f"{number}.{suffix}"
            if READ[suffix] == "HEIF":
                pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, format="HEIF")
            else:
                Image.fromarray(pixels).save(path, READ[suffix])
            (tmp_path / f"{number}.txt").write_text("30 20\n40 25\n")
        return tmp_path

    return made


@pytest.mark.parametrize("suffix", READ)
def test_a_folder_is_checked_planned_and_counted_whatever_its_suffix(run_cli, photos, trained_run, suffix):
    root = photos(suffix)
    checked = run_cli("data", "check", root, "--json")
    assert checked.code == 0, checked.err
    report = json.loads(checked.out)
    assert (report["sound"], report["splits"]["train"]["images"] + report["splits"]["val"]["images"]) == (True, 3)
    planned = run_cli("plan", "--data", root, "--json")
    assert planned.code == 0, planned.err
    assert json.loads(planned.out)["profile"]["images"] == 3
    counted = run_cli("count", trained_run, root, "--json")
    assert counted.code == 0, counted.err
    assert [row["image"] for row in json.loads(counted.out)["images"]] == [
        str(root / f"{n}.{suffix}") for n in range(3)
    ]


def test_without_the_package_that_reads_heic_each_command_names_it(run_cli, photos, trained_run, monkeypatch):
    root = photos("HEIC")
    monkeypatch.setattr("sam_mprompt.data.packages.find_spec", lambda name: None)
    for command in (("data", "check", root), ("plan", "--data", root), ("count", trained_run, root)):
        refused = run_cli(*command)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "'pillow-heif'" in refused.err
        assert "pip install 'sam-mprompt[heic]'" in refused.err
