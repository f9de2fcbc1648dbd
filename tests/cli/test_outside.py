import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tampering import sign

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.scope_file import SCOPE
from sam_mprompt.cli.outside import Outside
from sam_mprompt.counting.counter import load
from sam_mprompt.counting.result import CountResult
from sam_mprompt.errors import UsageError


@pytest.fixture
def adapter(trained_run, tmp_path):
    """A copy of a trained adapter that a test may damage."""
    return shutil.copytree(trained_run / "adapter", tmp_path / "adapter")


def test_finetune_keeps_what_its_training_images_are_like(adapter, crowd_folder):
    found = AdapterFolder.read(adapter).scope
    assert found.images == 6
    assert {"side", "brightness", "sharpness", "count"} <= set(found.ranges)
    assert (found.ranges["count"].least, found.ranges["count"].most) == (0, 13)
    assert AdapterFolder.read(adapter).export(adapter.parent / "copy", dtype="float16").scope == found


def test_an_image_unlike_those_of_training_is_told_once_and_stands_in_json(
    run_cli, trained_run, crowd_folder, tmp_path
):
    Image.new("RGB", (128, 96), (250, 250, 250)).save(tmp_path / "blank.png")
    done = run_cli("count", trained_run, tmp_path / "blank.png", crowd_folder / "2.png", "--json")
    assert done.code == 0, done.err
    blank, usual = json.loads(done.out)["images"]
    assert usual["warnings"] == []
    assert any(one.startswith("it is blurred or empty (0.0, ") for one in blank["warnings"])
    told = [line for line in done.err.splitlines() if "expect a wrong count" in line]
    assert told == [f"'{tmp_path / 'blank.png'}': {'; '.join(blank['warnings'])}: expect a wrong count."]
    assert load(trained_run, device="cpu").count(tmp_path / "blank.png").warnings == tuple(blank["warnings"])


def test_of_many_images_outside_the_first_are_named_and_the_others_counted():
    said = []
    outside = Outside(said.append)
    for number in range(23):
        density = np.zeros((2, 2), np.float32)
        outside.note(CountResult(density, None, (8, 8), (4.0, 4.0), Path(f"{number}.jpg"), warnings=("it is dark",)))
        outside.note(CountResult(density, None, (8, 8), (4.0, 4.0), Path("usual.jpg")))
    outside.conclude()
    assert said[0] == "'0.jpg': it is dark: expect a wrong count."
    assert len(said) == 21
    assert said[-1] == "3 further images lie outside what training saw; --json lists them."


@pytest.mark.parametrize(
    "values", [{"images": -1}, {"ranges": {"side": {"least": 1}}}, {"format_version": 2}, {"more": 0}, {"ranges": 1}]
)
def test_a_damaged_scope_is_refused_by_its_name(adapter, values):
    path = adapter / SCOPE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    sign(adapter)
    with pytest.raises(UsageError, match=r"scope\.json' (is damaged|has format version)"):
        AdapterFolder.read(adapter)


def test_measures_of_a_later_version_are_passed_over(adapter, crowd_folder):
    path = adapter / SCOPE
    table = json.loads(path.read_text())
    table["ranges"] = {"weather": {"least": 0, "most": 1, "low": 5, "high": 6}}
    path.write_text(json.dumps(table))
    sign(adapter)
    assert load(adapter, device="cpu").count(crowd_folder / "2.png").warnings == ()
