"""The measurement of a folder, in small."""

import pytest
from pooling_backend import noise

from benchmarks.speed import folder
from benchmarks.speed.folder import opened, photographs, rows
from sam_mprompt.data.image import image_size


@pytest.mark.slow
def test_a_folder_is_measured_against_its_network_and_csrnet(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "FULL_HD", (120, 160))
    paths = photographs(tmp_path, 10, (120, 160))
    assert [image_size(path) for path in paths] == [(120, 160)] * 10
    alone, against = rows("sam-tiny", opened("shb-tiny-prompt", tmp_path / "adapter"), paths, rounds=1)
    assert alone.what == against.what == "a folder of 10 JPEGs of 160x120, sam-tiny"
    assert (alone.against, against.against) == ("its bare forward passes", "a loop over CSRNet")
    assert alone.ratio.median > 0
    assert against.ratio.median > 0
    assert "images/s" in alone.note


def test_photographs_of_a_folder_are_enlarged_again_and_again(tmp_path):
    import cv2

    (tmp_path / "data").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "data" / f"{name}.jpg"), noise(24, 32, 0))
    paths = photographs(tmp_path, 3, (48, 64), tmp_path / "data")
    assert len(paths) == 3
    assert {image_size(path) for path in paths} == {(48, 64)}
    assert paths[0].read_bytes() == paths[2].read_bytes()
