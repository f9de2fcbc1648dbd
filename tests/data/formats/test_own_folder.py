"""One annotation of images that lie in several folders, and several files of one tool."""

import io
import zipfile

import pytest
from crowd_files import coco, folder_of, points, train

from sam_mprompt.data.formats.read import list_splits, read_split, recognise
from sam_mprompt.errors import UsageError


def cvat(*images: tuple[str, str], **attributes: str) -> str:
    """A CVAT file with a head at (x, 4) of each image (subset, name), x from 1 up."""
    rows = [
        f'<image id="{x}" name="{name}" subset="{subset}" task_id="{x}" width="40" height="30">'
        f'<points label="head" points="{x},4"/></image>'
        for x, (subset, name) in enumerate(images, start=1)
    ]
    return f"<annotations><version>1.1</version><meta><project/></meta>{''.join(rows)}</annotations>"


def test_a_project_of_cvat_with_subsets_is_divided_by_its_folders(tmp_path):
    images = [("Train", "a.jpg"), ("Train", "deep/b.jpg"), ("Validation", "a.jpg"), ("Test", "c.jpg")]
    root = folder_of(tmp_path, {"annotations.xml": cvat(*images)}, [f"images/{s}/{n}" for s, n in images])
    assert recognise(root) == "points"
    found = {split: read_split(root, split) for split in ("train", "val", "test")}
    heads = {split: {s.image.name: s.points.tolist() for s in read.samples} for split, read in found.items()}
    assert heads == {
        "train": {"a.jpg": [[1, 4]], "b.jpg": [[2, 4]]},
        "val": {"a.jpg": [[3, 4]]},
        "test": {"c.jpg": [[4, 4]]},
    }
    assert not any(read.problems for read in found.values())


def test_what_is_in_no_subset_of_cvat_is_train(tmp_path):
    images = [("default", "a.jpg"), ("val", "b.jpg")]
    root = folder_of(tmp_path, {"annotations.xml": cvat(*images)}, [f"images/{s}/{n}" for s, n in images])
    _, splits, carved = list_splits(root)
    assert {split: [e.image.name for e in some] for split, some in splits.items()} == {
        "train": ["a.jpg"],
        "val": ["b.jpg"],
    }
    assert not carved


def test_beside_a_train_folder_what_is_in_no_subset_is_named_as_unused(tmp_path):
    images = [("default", "a.jpg"), ("train", "b.jpg")]
    root = folder_of(tmp_path, {"annotations.xml": cvat(*images)}, [f"images/{s}/{n}" for s, n in images])
    split = read_split(root, "train", val_fraction=0)
    assert [s.image.name for s in split.samples] == ["b.jpg"]
    assert split.problems.unused == [root / "images/default"]


def test_an_image_that_a_subset_lacks_is_missing_there(tmp_path):
    images = [("train", "a.jpg"), ("val", "a.jpg"), ("val", "b.jpg")]
    root = folder_of(tmp_path, {"annotations.xml": cvat(*images)}, ["images/train/a.jpg", "images/val/b.jpg"])
    assert read_split(root, "val").problems.missing_images == [root / "images/val/a.jpg"]
    assert [s.points.tolist() for s in read_split(root, "train").samples] == [[[1, 4]]]


@pytest.mark.parametrize(
    ("annotation", "images"),
    [
        ("heads.csv", "cam/{}"),
        ("annotations/heads.csv", "{}"),
        ("annotations/heads.csv", "photos/{}"),
        ("heads.csv", "2026/may/{}"),
        ("labels/heads.csv", "images/all/{}"),
    ],
)
def test_images_are_found_beside_above_and_below_their_annotation(tmp_path, annotation, images):
    text = "image,x,y\na.jpg,3,4\nb.jpg,,\n"
    root = folder_of(tmp_path, {annotation: text}, [images.format(name) for name in ("a.jpg", "b.jpg")])
    assert recognise(root) == "points"
    assert points(root) == {"a.jpg": [[3, 4]], "b.jpg": []}


def test_images_of_several_cameras_are_one_dataset_and_a_folder_that_nobody_annotated_is_named(tmp_path):
    text = "image,x,y\ncam1/a.jpg,3,4\ncam2/a.jpg,5,6\n"
    root = folder_of(tmp_path, {"heads.csv": text}, ["cam1/a.jpg", "cam2/a.jpg", "previews/a.jpg"])
    split = train(root)
    assert {s.image.parent.name: s.points.tolist() for s in split.samples} == {"cam1": [[3, 4]], "cam2": [[5, 6]]}
    assert split.problems.unused == [root / "previews"]


def test_files_of_single_images_in_folders_as_the_images_belong_to_those(tmp_path):
    files = {"labels/cam1/a.txt": "0 0.1 0.2 0.1 0.1\n", "labels/cam2/a.txt": "0 0.5 0.5 0.1 0.1\n"}
    root = folder_of(tmp_path, files, ["images/cam1/a.jpg", "images/cam2/a.jpg"])
    heads = {s.image.parent.name: s.points.tolist() for s in train(root).samples}
    assert heads == {"cam1": [[4, 6]], "cam2": [[20, 15]]}


def test_folders_that_are_datasets_of_their_own_are_proposed_not_mixed(tmp_path):
    root = folder_of(tmp_path, {"day1/a.txt": "1 1", "day2/a.txt": "2 2"}, ["day1/a.jpg", "day2/a.jpg"])
    with pytest.raises(UsageError, match=r"Did you mean .*day1' \(points\) or .*day2' \(points\)"):
        recognise(root)


def test_several_files_of_one_tool_are_read_together_and_an_image_in_two_is_refused(tmp_path):
    one, two = cvat(("", "a.jpg")), cvat(("", "b.jpg"))
    root = folder_of(tmp_path, {"task_1.xml": one, "task_2.xml": two})
    assert points(root) == {"a.jpg": [[1, 4]], "b.jpg": [[1, 4]]}
    folder_of(tmp_path, {"task_2.xml": one})
    with pytest.raises(UsageError, match=r"task_2\.xml' annotates 'a\.jpg' a second time"):
        train(root)


def test_files_that_their_names_give_to_splits_are_not_read_as_one(tmp_path):
    content = coco([("head", [3, 5, 2, 2])])
    root = folder_of(tmp_path, {"instances_train.json": content, "instances_val.json": {**content, "images": []}})
    with pytest.raises(UsageError, match="Expected one kind of annotation"):
        train(root)


def test_suffixes_and_names_of_files_count_in_any_case(tmp_path):
    root = folder_of(tmp_path / "1", {"Annotations.CSV": "A.JPG,3,4\nb.jpg,,\n"}, ("a.Jpg", "B.JPG"))
    assert points(root) == {"a.Jpg": [[3, 4]], "B.JPG": []}
    root = folder_of(tmp_path / "2", {"a.TXT": "3 4", "B.Json": {"points": []}}, ("a.Jpg", "B.JPG"))
    assert points(root) == {"a.Jpg": [[3, 4]], "B.JPG": []}
    root = folder_of(tmp_path / "3", {"Annotations.JSON": coco([("head", [3, 5, 2, 2])])}, ("a.Jpg", "B.JPG"))
    assert points(root) == {"a.Jpg": [[4, 6]], "B.JPG": []}
    root = folder_of(tmp_path / "4", {"ANNOTATIONS.JSONL": '{"image": "a.jpg", "x": 3, "y": 4}'}, ("a.Jpg",))
    assert points(root) == {"a.Jpg": [[3, 4]]}
    root = folder_of(tmp_path / "5", {"Annotations.XML": cvat(("", "a.jpg"))}, ("a.Jpg",))
    assert points(root) == {"a.Jpg": [[1, 4]]}


def test_what_others_annotate_is_named_where_it_is_not_read(tmp_path):
    rois = io.BytesIO()
    with zipfile.ZipFile(rois, "w") as archive:
        archive.writestr("0.roi", b"Iout")
    files = {
        "annotations.csv": "a.jpg,3,4\nb.jpg,,\n",
        "stack.zip": rois.getvalue(),
        "old.mat": b"MATLAB",
        "notes.txt": "x",
    }
    root = folder_of(tmp_path, files)
    assert {path.name for path in train(root).problems.unused} == {"stack.zip", "old.mat"}
