import json
import shutil

import pytest

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.counting.counter import load


@pytest.fixture
def cameras(crowd_folder, tmp_path, monkeypatch):
    """A folder per camera, below the current one."""
    monkeypatch.chdir(tmp_path)
    for name, images in {"gate": "01", "station": "23"}.items():
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for image in images:
            shutil.copy(crowd_folder / f"{image}.png", folder)
    return tmp_path / "photos"


@pytest.fixture
def other(trained_run, tmp_path):
    """An adapter on the same base that counts a third more."""
    folder = AdapterFolder.read(trained_run / "adapter")
    tensors = dict(folder.tensors)
    scale = next(name for name in tensors if name.endswith("regressor.output.weight"))
    tensors[scale] = tensors[scale] * 4 / 3
    AdapterFolder(tmp_path / "other", folder.info, folder.recipe, folder.config, tensors, folder.metrics).write()
    return tmp_path / "other"


def test_images_of_a_folder_are_counted_with_the_adapter_that_is_named_for_it(run_cli, trained_run, other, cameras):
    folders = "photos/gate", "photos/station"
    done = run_cli("count", trained_run, *folders, "--adapter", f"photos/gate={other}", "--json", "--batch-size", 4)
    assert done.code == 0, done.err
    rows = json.loads(done.out)["images"]
    assert [row["adapter"] for row in rows] == [str(other)] * 2 + [str(trained_run)] * 2
    for row in rows:
        assert row["count"] == pytest.approx(load(row["adapter"], device="cpu").count(row["image"]).count, rel=1e-5)
    usual = json.loads(run_cli("count", trained_run, *folders, "--json").out)["images"]
    assert [row["count"] for row in usual[:2]] != pytest.approx([row["count"] for row in rows[:2]], rel=1e-3)
    assert "adapter" not in usual[0]


def test_a_glob_names_images_too_and_error_bars_are_each_adapters_own(run_cli, trained_run, other, cameras):
    done = run_cli(
        "count", other, "photos/*/*.png", "--adapter", f"photos/*/[01].png={trained_run}", "--json", "--level", 0.5
    )
    rows = json.loads(done.out)["images"]
    assert [row["adapter"] for row in rows] == [str(trained_run)] * 2 + [str(other)] * 2
    assert [row["interval"] is None for row in rows] == [False, False, True, True]
    assert [row["why_no_interval"] is None for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["photos/gate"], "expected IMAGES=ADAPTER"),
        (["=a"], "expected IMAGES=ADAPTER"),
        (["photos/gtae=a"], "No image at 'photos/gtae'"),
        (["photos/station=a"], "none of the images to count is in 'photos/station'"),
        (["photos/gate=a", "photos/gate/0.png=b"], "expected one adapter per image, got 'a' and 'b'"),
        (["photos/gate=nowhere"], "No adapter 'nowhere'"),
    ],
)
def test_what_names_no_image_or_no_adapter_is_refused(run_cli, trained_run, cameras, given, said):
    options = [word for text in given for word in ("--adapter", text)]
    done = run_cli("count", trained_run, "photos/gate", *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
