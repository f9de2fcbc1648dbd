import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.read import read_split, tools_of
from sam_mprompt.data.formats.tools.yolo_classes import classes_of
from sam_mprompt.errors import UsageError

ROWS = "0 0.1 0.2 0.05 0.1\n0 0.55 0.5 0.1 0.2\n1 0.5 0.5 1 1\n"
ULTRALYTICS_YAML = "path: .\ntrain: images/train\nnames:\n  0: head\n  1: car\n"
CVAT_LIST = "data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n"
HEADS = {"a.jpg": [[4, 6], [22, 15]], "b.jpg": []}
ROBOFLOW_YAML = (
    "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['head', 'car']\n\nroboflow:\n  version: 1\n"
)


@pytest.mark.parametrize(
    ("files", "images"),
    [
        ({"a.txt": ROWS, "b.txt": "", "classes.txt": "head\ncar\n"}, ""),
        ({"labels/a.txt": ROWS, "labels/b.txt": "", "classes.txt": "head\ncar\n", "notes.json": "{}"}, "images/"),
        ({"labels/train/a.txt": ROWS, "labels/train/b.txt": "", "d.yaml": ULTRALYTICS_YAML}, "images/train/"),
        ({"train/labels/a.txt": ROWS, "train/labels/b.txt": "", "data.yaml": ROBOFLOW_YAML}, "train/images/"),
        (
            {"obj_train_data/a.txt": ROWS, "obj_train_data/b.txt": "", "obj.names": "head\ncar\n",
             "obj.data": "classes = 2", "train.txt": CVAT_LIST},
            "obj_train_data/",
        ),
    ],
    ids=["labelImg", "Label Studio", "Ultralytics", "Roboflow", "CVAT"],
)  # fmt: skip
def test_shares_are_taken_times_the_images_sides_in_every_layout(tmp_path, files, images):
    root = folder_of(tmp_path, files, (f"{images}a.jpg", f"{images}b.jpg"))
    assert points(root) == HEADS
    split = train(root)
    assert split.samples[0].boxes[0] == pytest.approx([3, 4.5, 5, 7.5])
    assert list(split.problems.other_labels.values()) == ["car"]
    assert not split.problems


def test_splits_of_ultralytics_have_labels_of_their_own(tmp_path):
    files = {f"labels/{split}/{split}.txt": "0 0.5 0.5 0.1 0.1\n" for split in ("train", "val", "test")}
    root = folder_of(tmp_path, files, [f"images/{split}/{split}.jpg" for split in ("train", "val", "test")])
    for split in ("train", "val", "test"):
        found = read_split(root, split)
        assert [sample.image.name for sample in found.samples] == [f"{split}.jpg"]
        assert not found.problems


def test_a_head_in_the_corner_is_not_taken_for_a_mistake(tmp_path):
    root = folder_of(tmp_path, {"a.txt": "0 0.01 0.01 0.02 0.02\n", "b.txt": "0 0.02 0.01 0.01 0.01"})
    split = train(root)
    assert not split.problems
    assert split.samples[0].points[0] == pytest.approx([0.4, 0.3])


def test_a_file_in_pixels_is_refused_by_line(tmp_path):
    with pytest.raises(UsageError, match=r"a\.txt' line 1: expected shares of the image from 0 to 1; received 20"):
        train(folder_of(tmp_path, {"a.txt": "0 20 15 4 4\n", "b.txt": ""}))


def test_confidences_are_passed_over_and_key_points_need_their_shape(tmp_path):
    root = folder_of(tmp_path, {"a.txt": "0 0.1 0.2 0.05 0.1 0.93\n", "b.txt": ""})
    assert points(root)["a.jpg"] == [[4, 6]]
    pose = {"a.txt": "0 0.5 0.5 0.4 0.4 0.1 0.2 2\n", "b.txt": ""}
    with pytest.raises(UsageError, match=r"line 1: .*received 8 numbers. Key points need 'kpt_shape' in data.yaml"):
        train(folder_of(tmp_path / "pose", pose))


def test_outlines_of_segments_are_heads_in_the_middle_of_their_box_and_told(tmp_path):
    rows = "0 0.1 0.1 0.2 0.1 0.2 0.3\n0 0.5 0.5 0.1 0.2\n"
    root = folder_of(tmp_path, {"a.txt": rows, "b.txt": ""})
    split = train(root)
    assert split.samples[0].points.ravel() == pytest.approx([6, 6, 20, 15])
    assert split.samples[0].boxes[0] == pytest.approx([4, 3, 8, 9])
    assert split.problems.readings == {root / "a.jpg": "1 outlines, of each the middle of its box"}
    assert not split.problems.serious
    with pytest.raises(UsageError, match="shares of the image from 0 to 1; received 4"):
        train(folder_of(tmp_path / "pixels", {"a.txt": "0 1 1 4 1 4 4\n"}))


def test_the_first_labelled_key_point_is_the_head(tmp_path):
    row = "0 0.5 0.5 0.4 0.4 0 0 0 0.1 0.2 2\n"
    files = {"a.txt": row, "b.txt": "", "data.yaml": "kpt_shape: [2, 3]\nnames: {0: person}\n"}
    root = folder_of(tmp_path, files)
    assert points(root)["a.jpg"] == [[4, 6]]
    assert train(root).samples[0].boxes[0] == pytest.approx([12, 9, 28, 21])


def test_classes_without_names_are_labels_by_number(tmp_path):
    root = folder_of(tmp_path, {"a.txt": ROWS, "b.txt": ""})
    with pytest.raises(UsageError, match=r"several labels \(0, 1\)"):
        train(root)
    assert points(root, label="0") == HEADS


@pytest.mark.parametrize(
    "text",
    [
        "names: [head, 'traffic light']\n",
        'nc: 2\nnames: ["head",\n  "traffic light"]\n',
        "names: {0: head, 1: traffic light}\n",
        "names:\n- head\n- traffic light\nnc: 2\n",
        "names:\n  - 'head'\n  - traffic light  # red\n",
        "path: .\nnames:  # of two\n  0: head\n  1: traffic light\n\ntrain: images\n",
    ],
)
def test_names_are_read_however_the_yaml_lists_them(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    assert classes_of(tmp_path / "labels" / "train" / "a.txt").names == {0: "head", 1: "traffic light"}


def test_classes_above_the_dataset_are_not_its_own(tmp_path):
    (tmp_path / "classes.txt").write_text("car\n")
    (tmp_path / "photos").mkdir()
    assert classes_of(tmp_path / "photos" / "a.txt").names == {}


def test_roboflows_export_is_told_from_that_of_others(tmp_path):
    files = {"train/labels/a.txt": ROWS, "train/labels/b.txt": "", "data.yaml": ROBOFLOW_YAML}
    root = folder_of(tmp_path, files, ("train/images/a.jpg", "train/images/b.jpg"))
    assert tools_of(root, "points") == ("roboflow",)
    for name in ("roboflow", "yolo"):
        assert len(read_split(root, "train", format=name, val_fraction=0).samples) == 2
    (root / "data.yaml").write_text("names: [head, car]\n")
    assert tools_of(root, "points") == ("yolo",)
