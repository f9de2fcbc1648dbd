"""Every tool: what is written is read again as the same heads, and what lies together is told apart."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from crowd_files import folder_of
from PIL import Image

from sam_mprompt.data.formats.read import FORMATS, read_split, recognise, tools_of
from sam_mprompt.data.formats.tools.families import FAMILIES, told
from sam_mprompt.data.formats.tools.family import Picture
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.data import DataFormat

PRECISION = 0.011  # pixels: two digits behind the point
WRITTEN = [name for name, family in FAMILIES.items() if family.write is not None]
BOXES = {"labelme", "cvat", "label-studio", "via", "via3", "via-csv", "roboflow", "coco", "yolo", "voc", "json"}
"""Families that keep boxes."""
IN_SHARES = {"label-studio", "yolo"}
"""Families in which (y, x) lies inside every image as (x, y) does."""


def written(root: Path, name: str, splits: tuple, *, boxes: bool) -> list[Picture]:
    """Write images and their heads as a family does: one with nobody, one with two heads, one with four, a split."""
    family, rng = FAMILIES[name], np.random.default_rng(7)
    pictures = []
    for split in splits:
        for number in range(3):
            path = family.place(f"{split} {number}.jpg", split)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (200, 150), (20 * number, 0, len(pictures))).save(root / path)
            points = rng.uniform((6, 6), (190, 140), (2 * number, 2))
            half = rng.uniform(2, 5, (2 * number, 2))
            around = np.hstack([points - half, points + half]) if boxes else None
            pictures.append(Picture(path, (150, 200), points, around, split, (root / path).stat().st_size))
    for path, content in family.write(pictures).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return pictures


@pytest.mark.parametrize("splits", [(None,), ("train", "val", "test")], ids=["whole", "divided"])
@pytest.mark.parametrize(
    ("name", "boxes"),
    [(name, boxes) for name in WRITTEN for boxes in (False, True) if boxes or not FAMILIES[name].boxes_only],
)
def test_what_is_written_is_read_again_as_the_same_heads(tmp_path, name, splits, boxes):
    pictures = written(tmp_path, name, splits, boxes=boxes)
    assert recognise(tmp_path) == "points"
    assert tools_of(tmp_path, "points") == (name,)
    for split in splits:
        found = read_split(tmp_path, split or "train", val_fraction=0)
        assert not found.problems, found.problems.lines()
        expected = {picture.name: picture for picture in pictures if picture.split == split}
        assert {sample.image.name for sample in found.samples} == set(expected)
        for sample in found.samples:
            picture = expected[sample.image.name]
            assert sample.points.shape == picture.points.shape
            np.testing.assert_allclose(sample.points, picture.points, atol=PRECISION)
            if boxes and name in BOXES and len(picture.points):
                np.testing.assert_allclose(sample.boxes, picture.boxes, atol=PRECISION)


@pytest.mark.parametrize(
    "name", [name for name in WRITTEN if {".json", ".geojson", ".pnt"} & {*FAMILIES[name].suffixes}]
)
def test_a_key_twice_in_an_object_of_json_is_told_in_every_format(tmp_path, name):
    written(tmp_path, name, (None,), boxes=True)
    for file in tmp_path.rglob("*"):
        if file.suffix in FAMILIES[name].suffixes:
            file.write_text(file.read_text().replace("{", '{"twice": 1, "twice": 2, ', 1))
    try:
        said = "; ".join(read_split(tmp_path, "train", val_fraction=0).problems.lines())
    except UsageError as error:
        said = str(error)
    assert "the key 'twice' stands twice in an object" in said


@pytest.mark.parametrize("size", [(150, 200), (200, 150)], ids=["landscape", "portrait"])
@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in IN_SHARES])
def test_rows_before_columns_are_told_in_every_format_that_has_pixels(tmp_path, name, size):
    height, width = size
    places = np.array([[width - 4, height - 5], [width / 2, 9], [9, height / 2], [7, 8]], float)
    family = FAMILIES[name]
    pictures = []
    for stem, points in (("right", places), ("wrong", places[:, ::-1])):
        path = family.place(f"{stem}.jpg", None)
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), (len(pictures), 0, 0)).save(tmp_path / path)
        boxes = np.hstack([points - 3, points + 3]) if family.boxes_only else None
        pictures.append(Picture(path, size, points, boxes))
    for path, content in family.write(pictures).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    split = read_split(tmp_path, "train", val_fraction=0)
    assert [sample.image.stem for sample in split.samples] == ["right"]
    reason = f"as (x, y) 1 of 4 lie outside {width}x{height}, as (y, x) none does"
    assert {path.stem: told for path, told in split.problems.swapped.items()} == {"wrong": reason}
    assert any("fit better as (y, x)" in line and "wrong.jpg" in line for line in split.problems.lines())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_folder_of_one_tool_is_read_by_its_name_and_refused_by_that_of_another(tmp_path, name):
    written(tmp_path, name, (None,), boxes=True)
    assert len(read_split(tmp_path, "train", format=name, val_fraction=0).samples) == 3
    other = "cvat" if name != "cvat" else "coco"
    with pytest.raises(UsageError, match=f"is not of format '{other}'.*looks like format 'points'"):
        read_split(tmp_path, "train", format=other)


@pytest.mark.parametrize("name", FAMILIES)
def test_files_of_other_content_or_none_are_of_no_family(tmp_path, name):
    family = FAMILIES[name]
    for suffix in family.suffixes:
        for number, content in enumerate([b"", b"{", b"[[1]]", b"<x/>", b"\xff\xfe\x00", b"{}", b"[]"]):
            (tmp_path / f"file{number}{suffix}").write_bytes(content)
            kind = family.kind_of(tmp_path / f"file{number}{suffix}")
            assert kind is None or (name, kind) == ("txt", "one")
        assert family.kind_of(tmp_path / f"nothing{suffix}") in (None, "one" if name == "txt" else None)
        (tmp_path / f"folder{suffix}").mkdir()
        assert family.kind_of(tmp_path / f"folder{suffix}") in (None, "one" if name == "txt" else None)


def test_recipes_know_every_format_by_name():
    assert set(get_args(DataFormat)) == {*FORMATS, "synthetic"}


def test_two_tools_for_one_image_are_refused_until_one_is_named(tmp_path):
    voc = (
        "<annotation><object><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>5</ymax></bndbox>"
        "</object></annotation>"
    )
    root = folder_of(tmp_path, {"a.xml": voc, "b.xml": "<annotation/>", "a.txt": "7 8\n", "b.txt": ""})
    with pytest.raises(UsageError, match=r"annotates 'a\.jpg' a second time") as caught:
        read_split(root, "train", val_fraction=0)
    assert (caught.value.about, caught.value.facts["tools"]) == ("several tools", "txt or voc")
    for name, place in (("voc", [2, 3]), ("txt", [7, 8])):
        split = read_split(root, "train", format=name, val_fraction=0)
        assert [sample.points.tolist() for sample in split.samples] == [[place], []]
        assert {path.suffix for path in split.problems.unused} == {".txt" if name == "voc" else ".xml"}


def test_several_files_of_many_images_are_refused_until_one_is_named(tmp_path):
    cvat = '<annotations><image id="0" name="a.jpg" width="40" height="30"/></annotations>'
    root = folder_of(tmp_path, {"annotations.xml": cvat, "annotations.csv": "b.jpg,1,2\n"})
    with pytest.raises(UsageError, match=r"found 'annotations\.(csv|xml)' and 'annotations\.(csv|xml)'") as caught:
        read_split(root, "train", val_fraction=0)
    assert caught.value.facts["tools"] == "csv or cvat"
    assert [s.image.name for s in read_split(root, "train", format="csv", val_fraction=0).samples] == ["b.jpg"]


def test_a_json_that_annotates_nothing_is_named_as_unused(tmp_path):
    root = folder_of(tmp_path, {"a.txt": "1 2", "b.txt": "", "export-settings.json": {"version": 3}})
    problems = read_split(root, "train", val_fraction=0).problems
    assert problems.unused == [root / "export-settings.json"]
    assert not problems.missing_images


def test_the_first_family_that_a_file_is_of_reads_it(tmp_path):
    root = folder_of(tmp_path, {"annotations.json": {"k": {"filename": "a.jpg", "regions": []}}, "x.csv": "what,when"})
    assert told(root / "annotations.json").family.name == "via"
    assert told(root / "x.csv") is None
