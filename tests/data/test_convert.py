import json

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.data.convert import WRITTEN, convert
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.errors import UsageError

PLACES = {"a": [[3.5, 4], [10, 2]], "b": [], "c": [[20.25, 11]]}


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for number, (name, points) in enumerate(PLACES.items()):
        noise = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"{name}.png")
        (root / f"{name}.json").write_text(json.dumps({"points": points}))
    return root


def heads(root, split="train"):
    return {s.image.stem: s.points.tolist() for s in read_split(root, split, val_fraction=0).samples}


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("tool", WRITTEN)
def test_a_dataset_is_the_same_after_any_tool(photos, tmp_path, tool):
    done = convert(photos, tool, tmp_path / "out")
    assert (done.images, done.heads, done.left_out) == ({"all": 3}, {"all": 3}, 0)
    found = heads(tmp_path / "out")
    assert found.keys() == PLACES.keys()
    for name, points in PLACES.items():
        np.testing.assert_allclose(np.reshape(found[name], (-1, 2)), np.reshape(points, (-1, 2)), atol=0.011)
    back = convert(tmp_path / "out", "json", tmp_path / "back")
    assert back.heads == {"all": 3}


def test_the_splits_stay_apart_and_one_of_them_can_be_written_alone(photos, tmp_path):
    (photos / "test.txt").write_text("c\n")
    done = convert(photos, "coco", tmp_path / "out")
    assert done.images == {"train": 2, "test": 1}
    assert heads(tmp_path / "out", "test") == {"c": [[20.25, 11]]}
    convert(photos, "coco", tmp_path / "alone", split="test")
    assert files(tmp_path / "alone") == ["annotations.json", "c.png"]
    with pytest.raises(UsageError, match="has no val split of its own, only train and test"):
        convert(photos, "coco", tmp_path / "none", split="val")


def test_images_are_copies_or_links_and_the_dataset_stays_as_it_is(photos, tmp_path):
    before = {name: (photos / name).read_bytes() for name in files(photos)}
    convert(photos, "labelme", tmp_path / "copied")
    convert(photos, "labelme", tmp_path / "linked", link=True)
    assert not (tmp_path / "copied" / "a.png").is_symlink()
    assert (tmp_path / "linked" / "a.png").readlink() == (photos / "a.png").resolve()
    convert(photos, "labelme", tmp_path / "linked", overwrite=True)  # must not write through the links
    assert not (tmp_path / "linked" / "a.png").is_symlink()
    assert {name: (photos / name).read_bytes() for name in files(photos)} == before


def test_without_a_name_the_folder_lies_beside_the_dataset(photos, monkeypatch):
    assert convert(photos, "cvat").out == photos.parent / "photos-cvat"
    monkeypatch.chdir(photos)
    assert convert(photos.relative_to(photos), "voc").out == photos.parent / "photos-voc"


def test_what_is_there_is_not_written_into_without_being_told(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files; expected a new or empty folder") as caught:
        convert(photos, "csv", tmp_path / "out")
    assert caught.value.about == "output holds files"
    assert files(tmp_path / "out") == ["mine.txt"]
    convert(photos, "csv", tmp_path / "out", overwrite=True)
    assert files(tmp_path / "out") == ["a.png", "annotations.csv", "b.png", "c.png", "mine.txt"]


@pytest.mark.parametrize("inside", ["", "sub", "sub/sub"])
def test_the_dataset_is_never_written_into(photos, inside):
    with pytest.raises(UsageError, match="expected a folder outside the dataset"):
        convert(photos, "csv", photos / inside, overwrite=True)


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ("cvta", r"Nothing is written as 'cvta'; expected .*Did you mean 'cvat'"),
        ("jhu", "'jhu' is read, but not written"),
    ],
)
def test_a_tool_that_is_none_is_refused_with_those_there_are(photos, tmp_path, tool, message):
    with pytest.raises(UsageError, match=message):
        convert(photos, tool, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_images_whose_annotation_would_be_one_file_are_refused_by_name(photos, tmp_path):
    Image.new("RGB", (40, 30), "red").save(photos / "a.jpg")
    (photos / "a.json").rename(photos / "a.png.json")
    (photos / "a.jpg.json").write_text('{"points": []}')
    with pytest.raises(UsageError, match=r"'a\.(jpg|png)' and 'a\.(jpg|png)' would share a name as voc"):
        convert(photos, "voc", tmp_path / "out")
    assert convert(photos, "coco", tmp_path / "out").images == {"all": 4}


def test_what_cannot_be_read_is_left_out_and_counted(photos, tmp_path):
    (photos / "a.json").write_text("{")
    (photos / "b.json").unlink()
    done = convert(photos, "json", tmp_path / "out")
    assert (done.left_out, done.images) == (1, {"all": 1})
    assert [path.name for path in done.problems["train"].malformed] == ["a.png"]
    assert [path.name for path in done.problems["train"].missing_annotations] == ["b.png"]


def test_a_dataset_with_nothing_to_write_is_refused(photos, tmp_path):
    for path in photos.glob("*.json"):
        path.write_text("{")
    with pytest.raises(UsageError, match=r"No annotated image in .* to write: images with a malformed annotation"):
        convert(photos, "json", tmp_path / "out")
    assert not (tmp_path / "out").exists()
