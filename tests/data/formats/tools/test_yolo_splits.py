import pytest
from crowd_files import folder_of

from sam_mprompt.data.formats.read import list_splits, read_split, recognise
from sam_mprompt.data.formats.tools.yolo_splits import declared_splits
from sam_mprompt.errors import UsageError

ROW = "0 0.5 0.5 0.1 0.1\n"
IMAGES = ("images/one/a.jpg", "images/two/b.jpg", "images/three/c.jpg")
LABELS = {f"labels/{name}.txt": ROW for name in ("one/a", "two/b", "three/c")}


def yaml(*lines: str) -> dict[str, object]:
    return {"data.yaml": "\n".join([*lines, "names:", "  0: head", ""])}


def splits_of(root) -> dict[str, list[str]]:
    return {
        split: [entry.image.name for entry in some if not entry.unused]
        for split, some in list_splits(root, val_fraction=0)[1].items()
    }


@pytest.mark.parametrize(
    "lines",
    [
        ("train: images/one", "val: [images/two]", "test: ./images/three"),
        (
            "path: /content/drive/crowd",
            "train: /content/drive/crowd/images/one",
            "val: images/two",
            "test: images/three",
        ),
        ("path: ../datasets/crowd", "train: images/one  # mine", "val: 'images/two'", "test: images/three"),
        ("path: images", "train: one", "val: two/", "test:", "- three"),
        ("train: ../images/one", "valid: ../images/two", "test: [ '../images/three' ]"),
    ],
    ids=["relative", "another machine", "comments", "path", "Roboflow"],
)
def test_folders_under_any_name_are_the_splits_that_the_yaml_says(tmp_path, lines):
    root = folder_of(tmp_path, {**LABELS, **yaml(*lines)}, IMAGES)
    assert recognise(root) == "points"
    assert splits_of(root) == {"train": ["a.jpg"], "val": ["b.jpg"], "test": ["c.jpg"]}
    for split in ("train", "val", "test"):
        found = read_split(root, split)
        assert found.samples[0].points.tolist() == [[20, 15]]
        assert not found.problems


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    lines = f"path: {tmp_path}/crowd", "train: images/one", f"val: {tmp_path}/crowd/images/two"
    root = folder_of(tmp_path / "crowd", {**LABELS, **yaml(*lines)}, IMAGES)
    assert splits_of(root) == {"train": ["a.jpg"], "val": ["b.jpg"]}


def test_several_folders_are_one_split_and_one_that_no_split_has_is_named(tmp_path):
    images = [*IMAGES, "images/four/d.jpg"]
    labels = {
        **LABELS,
        "labels/four/d.txt": ROW,
        **yaml("train:", "  - images/one", "  - images/two", "val: images/three"),
    }
    root = folder_of(tmp_path, labels, images)
    assert splits_of(root) == {"train": ["a.jpg", "b.jpg"], "val": ["c.jpg"]}
    assert read_split(root, "train").problems.unused == [root / "images/four"]


def test_lists_of_images_under_any_name_are_splits(tmp_path):
    lists = {
        "lists/mine.txt": "./images/one/a.jpg\nimages/two/b.jpg\n",
        "lists/other.txt": "/home/me/images/three/c.jpg\n",
    }
    root = folder_of(tmp_path, {**LABELS, **lists, **yaml("train: lists/mine.txt", "val: lists/other.txt")}, IMAGES)
    assert splits_of(root) == {"train": ["a.jpg", "b.jpg"], "val": ["c.jpg"]}
    assert not read_split(root, "train").problems


def test_an_image_that_a_list_names_and_that_is_not_there_is_missing(tmp_path):
    lists = {"mine.txt": "images/one/a.jpg\nimages/one/gone.jpg\n"}
    root = folder_of(tmp_path, {**LABELS, **lists, **yaml("train: mine.txt", "val: images/two")}, IMAGES)
    assert [path.name for path in read_split(root, "train").problems.missing_images] == ["gone.jpg"]
    assert read_split(root, "train").problems.unused == [root / "images/three"]


@pytest.mark.parametrize(
    "lines",
    [
        ("train: images/one", "val: images/one"),
        ("train: nowhere", "val: images/one"),
        ("nc: 1",),
        ("train: ..", "val: /"),
    ],
)
def test_what_divides_nothing_is_no_declaration(tmp_path, lines):
    assert declared_splits(folder_of(tmp_path, yaml(*lines), IMAGES)) is None


def test_nothing_outside_of_the_dataset_is_named(tmp_path):
    folder_of(tmp_path, {}, ["other/x.jpg", "more/y.jpg"])
    root = folder_of(
        tmp_path / "crowd", {**LABELS, **yaml("train: ../other", "val: ../more", "test: images/one")}, IMAGES
    )
    assert declared_splits(root) is None


def test_links_to_images_count_as_the_images(tmp_path):
    folder_of(tmp_path / "store", {}, IMAGES)
    lists = {"mine.txt": "images/one/a.jpg\n"}
    root = folder_of(tmp_path / "crowd", {**LABELS, **lists, **yaml("train: mine.txt", "val: images/two")}, ())
    (root / "images").symlink_to(tmp_path / "store/images", target_is_directory=True)
    assert splits_of(root) == {"train": ["a.jpg"], "val": ["b.jpg"]}


def test_a_list_of_names_that_none_can_be_is_refused_by_line(tmp_path):
    lists = {"mine.txt": f"images/one/a.jpg\n{'x' * 300}.jpg\n"}
    root = folder_of(tmp_path, {**LABELS, **lists, **yaml("train: mine.txt", "val: images/two")}, IMAGES)
    with pytest.raises(UsageError, match=r"mine\.txt' line 2: expected the file name of an image"):
        read_split(root, "train")
