"""Files that are made one after the other: killed in between, none is half, none is lost, none is made twice."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from faults.killing import leftovers, share, survive, whole_job
from pooling_backend import noise
from small_service import file_of

from sam_mprompt.data.formats.read import read_split
from sam_mprompt.files import appending, write_text
from sam_mprompt.masks.make import PointMasks, make_masks
from sam_mprompt.ui.datasets import Datasets


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def pictures_are_whole(folder: Path) -> None:
    """Every picture and every record that has its name can be read."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix in (".png", ".jpg"):
            assert cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) is not None, path


@pytest.mark.slow
def test_killed_masks_go_on_to_the_same_pictures(tmp_path, crowd_folder):
    def masks(folder: Path) -> object:
        return make_masks(PointMasks(5), crowd_folder, folder / "masks")

    survive(masks, tmp_path, contents, kills=share(12), name="masks", check=pictures_are_whole)


PHOTOS = [("a.png", file_of(noise(48, 64, 1))), ("b.png", file_of(noise(48, 64, 2))), ("a.png", file_of(noise(48, 64)))]


@pytest.mark.slow
def test_photographs_that_are_saved_and_corrected_while_the_page_is_killed_are_whole(tmp_path):
    def correct(folder: Path) -> None:
        datasets = Datasets(folder / "datasets")
        for heads in range(1, 4):
            for name, content in PHOTOS:
                datasets.save("market", name, content, [(10.0 * heads, 5.0)] * heads, (48, 64))
        datasets.remove("market", "b.png")

    def whole(folder: Path) -> None:
        pictures_are_whole(folder)
        datasets = Datasets(folder / "datasets")
        for dataset in datasets.all():
            for photo in dataset.photos:
                content, heads = datasets.open(dataset.name, photo.file)
                assert content in [content for _, content in PHOTOS]
                assert len(heads) in (0, 1, 2, 3)

    survive(correct, tmp_path, contents, kills=share(8), name="page", check=whole)


def test_a_photograph_whose_heads_were_not_saved_yet_is_not_trained_on_as_empty(tmp_path):
    datasets = Datasets(tmp_path)
    for name, content in PHOTOS[:2]:
        datasets.save("market", name, content, [(3.0, 4.0)], (48, 64))
    (datasets.path("market") / "images" / "b.json").unlink()  # as a kill between the two leaves it
    samples = read_split(datasets.path("market"), "train", format="points", val_fraction=0.0).samples
    assert {sample.image.name: sample.count for sample in samples} == {"a.png": 1}


@pytest.mark.slow
def test_one_that_writes_in_place_is_found_out(tmp_path):
    """The harness sees what it is there for."""

    def in_place(folder: Path) -> None:
        path = folder / "a.json"
        if not path.exists():
            with path.open("w") as file:
                file.write("[1,")
                file.flush()
                (folder / "b").mkdir()
                file.write("2]")

    def outcome(folder: Path) -> str:
        return (folder / "a.json").read_text()

    with pytest.raises((AssertionError, json.JSONDecodeError)):
        survive(in_place, tmp_path, outcome, kills=40, name="in place", check=pictures_are_whole)


@pytest.mark.slow
def test_one_that_replaces_and_appends_is_not(tmp_path):
    def properly(folder: Path) -> None:
        write_text(folder / "a.json", "[1, 2]")
        rows = folder / "rows.csv"
        done = rows.read_text().count("\n") if rows.exists() else 0
        with appending(rows, keep=True) as add:
            for number in range(done, 5):
                add(f"{number}\n")
        for left in leftovers(folder):
            (folder / left).unlink()

    toll = survive(properly, tmp_path, contents, kills=6, name="properly", check=pictures_are_whole)
    assert toll.kills == 6
    assert whole_job(properly, tmp_path / "again").changes >= 3
