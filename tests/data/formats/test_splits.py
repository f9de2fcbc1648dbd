import json
import re
import unicodedata

import pytest
from crowd_files import coco, folder_of, points

from sam_mprompt.data.formats.entries import collect
from sam_mprompt.data.formats.read import list_splits, read_split
from sam_mprompt.data.formats.splits import split_called
from sam_mprompt.errors import UsageError

SIX = [f"b{number}.jpg" for number in range(6)]
HEADS = {"annotations.csv": "".join(f"{name},10,10\n" for name in SIX)}


def sizes(root) -> dict[str, int]:
    _, splits, _ = list_splits(root, val_fraction=0)
    return {split: len(found) for split in splits if (found := collect(splits[split])[0])}


def unused(root) -> list[str]:
    _, splits, _ = list_splits(root, val_fraction=0)
    return [path.name for entries in splits.values() for path in collect(entries)[1].unused]


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "val.txt", "test.txt"),
        ("Train.txt", "VAL.txt", "Test.TXT"),
        ("train.list", "val.list", "test.lst"),
        ("training.txt", "valid.txt", "testing.txt"),
        ("train.txt", "validation.txt", "test.list"),
        ("train.txt", "dev.txt", "test.txt"),
        ("train_list.txt", "list-val.txt", "test images.txt"),
        ("splits/train.txt", "splits/val.txt", "splits/test.txt"),
        ("ImageSets/Main/train.txt", "ImageSets/Main/val.txt", "ImageSets/Main/test.txt"),
    ],
)
def test_lists_make_the_splits_in_any_case_and_under_their_usual_names(tmp_path, names):
    lists = dict(zip(names, ("b0\nb1\nb2", "b3.jpg", "b4.jpg\nb5.jpg"), strict=True))
    folder_of(tmp_path, HEADS | lists, SIX)
    assert sizes(tmp_path) == {"train": 3, "val": 1, "test": 2}
    assert unused(tmp_path) == []


IN_CSV = "image,x,y,Split\n" + "".join(
    f"{name},10,10,{split}\n" for name, split in zip(SIX, ["Train"] * 3 + ["valid"] + ["test"] * 2, strict=True)
)


def stated_in(form: str) -> dict[str, object]:
    """Return the annotation of six images, each of which states its split."""
    rows = [line.split(",") for line in IN_CSV.splitlines()[1:]]
    if form == "csv":
        return {"annotations.csv": IN_CSV}
    if form == "jsonl":
        lines = [{"image": name, "x": 1, "y": 2, "split": split} for name, _, _, split in rows]
        return {"annotations.jsonl": "\n".join(map(json.dumps, lines))}
    if form == "coco":
        images = [{"id": n, "file_name": row[0], "split": row[3]} for n, row in enumerate(rows)]
        marks = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 2, 2]} for n in range(len(rows))]
        return {"annotations.json": {"images": images, "annotations": marks, "categories": [{"id": 1, "name": "head"}]}}
    inner = "".join(f'<image name="{row[0]}" subset="{row[3]}"/>' for row in rows)
    return {"annotations.xml": f"<annotations>{inner}</annotations>"}


@pytest.mark.parametrize("form", ["csv", "jsonl", "coco", "cvat"])
def test_a_split_that_the_annotation_states_is_the_images_split(tmp_path, form):
    folder_of(tmp_path, stated_in(form), SIX)
    assert sizes(tmp_path) == {"train": 3, "val": 1, "test": 2}
    assert not read_split(tmp_path, "test").problems


def test_a_split_that_the_annotation_states_and_a_list_contradicts_is_refused(tmp_path):
    folder_of(tmp_path / "same", stated_in("csv") | {"test.txt": "b4\nb5"}, SIX)
    assert sizes(tmp_path / "same") == {"train": 3, "val": 1, "test": 2}
    folder_of(tmp_path / "other", stated_in("csv") | {"test.txt": "b0\nb5"}, SIX)
    with pytest.raises(UsageError, match=r"'b4\.jpg' is in the train split by a list or folder and in test by its"):
        list_splits(tmp_path / "other")


def test_what_divides_images_otherwise_is_no_split_and_beside_splits_is_refused(tmp_path):
    named = IN_CSV.replace("Split", "set")
    folder_of(tmp_path / "a", {"annotations.csv": re.sub("Train|valid|test", "A", named)}, SIX)
    assert sizes(tmp_path / "a") == {"train": 6}
    folder_of(tmp_path / "b", {"annotations.csv": named.replace("valid", "holdout")}, SIX)
    with pytest.raises(UsageError, match=r"of the splits Train, holdout, test: expected train, val and test alone"):
        list_splits(tmp_path / "b")


def test_an_image_whose_rows_name_two_splits_is_refused(tmp_path):
    folder_of(tmp_path, {"annotations.csv": IN_CSV + "b0.jpg,3,3,test\n"}, SIX)
    with pytest.raises(
        UsageError, match=r"line 8: puts 'b0\.jpg' into the split 'test', and a row before into 'Train'"
    ):
        list_splits(tmp_path)


def test_of_two_lists_of_a_split_the_plain_name_is_read_and_the_other_named(tmp_path):
    folder_of(tmp_path, HEADS | {"train.txt": "b0\nb1", "train_list.txt": "b2", "test.txt": "b3"}, SIX)
    assert sizes(tmp_path) == {"train": 2, "test": 1}
    assert unused(tmp_path) == ["train_list.txt"]


@pytest.mark.parametrize("val", ["val", "Valid", "validation", "dev"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_folders_make_the_splits_in_any_case_and_under_their_usual_names(tmp_path, train, val):
    for folder, names in ((train, SIX[:3]), (val, SIX[3:5]), ("Test", SIX[5:])):
        folder_of(tmp_path / folder, {f"{name[:-4]}.txt": "1 1" for name in names}, names)
    assert sizes(tmp_path) == {"train": 3, "val": 2, "test": 1}


def test_two_lists_or_folders_for_one_split_are_refused(tmp_path):
    folder_of(tmp_path / "a", HEADS | {"val.txt": "b1", "valid.txt": "b2"}, SIX)
    with pytest.raises(UsageError, match=r"one list or folder for the val split.*'val\.txt' and 'valid\.txt'"):
        list_splits(tmp_path / "a")
    for folder in ("train", "val", "validation"):
        folder_of(tmp_path / "b" / folder, {"b1.txt": "1 1"}, ["b1.jpg"])
    with pytest.raises(UsageError, match="'val' and 'validation'"):
        list_splits(tmp_path / "b")


def test_a_text_file_that_nothing_reads_is_named(tmp_path):
    extra = {
        "Holdout.txt": "b1",
        "split.csv": "b2",
        "README.md": "",
        "readme.txt": "",
        "LICENSE.txt": "",
        "classes.txt": "",
    }
    folder_of(tmp_path, HEADS | extra, SIX)
    assert sorted(unused(tmp_path)) == ["Holdout.txt", "split.csv"]
    assert "files that nothing reads: 2 (Holdout.txt, split.csv)" in read_split(tmp_path, "train").problems.lines()


def test_a_folder_of_images_beside_those_of_the_splits_is_named(tmp_path):
    for folder in ("train", "test", "holdout"):
        folder_of(tmp_path / folder, {"b1.txt": "1 1"}, ["b1.jpg"])
    assert unused(tmp_path) == ["holdout"]


def test_a_folder_of_annotation_or_images_that_nothing_reads_is_named(tmp_path):
    for split in ("train", "test"):
        folder_of(tmp_path / "divided" / split, {"b1.txt": "1 1"}, ["b1.jpg"])
    for root in (folder_of(tmp_path / "whole", HEADS, SIX), tmp_path / "divided"):
        folder_of(root, {"again/b0.txt": "1 1", "empty/readme.md": "", ".hidden/b0.txt": "1 1"}, ["more/c.jpg"])
        assert unused(root) == ["again", "more"]


def test_a_text_file_of_an_official_layout_that_nothing_reads_is_named(tmp_path):
    for split in ("train", "test"):
        folder_of(tmp_path, {f"{split}/gt/{split}1.txt": "3 4 2 2 1 0"}, [f"{split}/images/{split}1.jpg"])
    folder_of(tmp_path, {"fold1.txt": "train1"}, [])
    assert list_splits(tmp_path)[0] == "jhu"
    assert unused(tmp_path) == ["fold1.txt"]


def test_a_name_that_begins_with_a_hash_is_no_comment(tmp_path):
    names = ["#1.jpg", "#2.jpg", "b3.jpg", "b4.jpg"]
    lists = {"train.txt": "# a comment\n#1.jpg\nb3.jpg\n", "val.txt": "#2\nb4.jpg\n"}
    folder_of(tmp_path, {"annotations.csv": "".join(f"{name},2,2\n" for name in names)} | lists, names)
    assert sizes(tmp_path) == {"train": 2, "val": 2}


def test_a_list_may_name_the_annotation_behind_each_image(tmp_path):
    folder_of(tmp_path, HEADS | {"train.list": "x/b0.jpg x/b0.txt\nx/b1.jpg x/b1.txt\n"}, SIX)
    assert sizes(tmp_path) == {"train": 2}


@pytest.mark.parametrize("form", ["csv", "txt", "list"])
@pytest.mark.parametrize(("on_disk", "written"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_that_differ_in_how_accents_are_composed_are_the_same(tmp_path, form, on_disk, written):
    names = [unicodedata.normalize(on_disk, f"Zürich{number}.jpg") for number in range(3)]
    other = [unicodedata.normalize(written, name) for name in names]
    if form == "txt":
        files: dict[str, object] = {f"{name[:-4]}.txt": "1 2" for name in other}
    else:
        files = {"annotations.csv": "".join(f"{name},1,2\n" for name in other)}
    folder_of(tmp_path, files | ({"train.txt": "\n".join(other)} if form == "list" else {}), names)
    assert points(tmp_path) == {name: [[1, 2]] for name in names}


def test_images_may_lie_in_one_folder_below_images(tmp_path):
    files = {"annotations/instances_default.json": coco([("head", [1, 1, 4, 4])])}
    folder_of(tmp_path, files, ["images/default/a.jpg", "images/default/b.jpg"])
    assert points(tmp_path) == {"a.jpg": [[3, 3]], "b.jpg": []}


def test_folders_of_splits_may_lie_below_images_each_with_its_own_coco_file(tmp_path):
    for split in ("Train", "Validation"):
        files = {f"annotations/instances_{split}.json": coco([("head", [1, 1, 4, 4])])}
        folder_of(tmp_path, files, [f"images/{split}/a.jpg", f"images/{split}/b.jpg"])
    assert sizes(tmp_path) == {"train": 2, "val": 2}
    assert unused(tmp_path) == []


def test_other_names_are_no_split():
    assert [split_called(name) for name in ("trains", "eval", "", "val2")] == [None] * 4
