import pytest
from crowd_files import coco, folder_of, points, shape, train

from sam_mprompt.data.formats.labels import decide
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.errors import UsageError

NAMED, OTHER = [3.5, 4.0], [10.0, 2.0]


def in_every_format(named: str, other: str) -> dict[str, dict[str, object]]:
    """One mark `named` at (3.5, 4) and one `other` at (10, 2) of a.jpg, nothing in b.jpg."""
    rows = [(NAMED, named), (OTHER, other)]
    return {
        "labelme": {"a.json": {"shapes": [shape(label, place) for place, label in rows]}, "b.json": {"shapes": []}},
        "csv": {
            "annotations.csv": "image,x,y,label\n"
            + "".join(f"a.jpg,{x},{y},{label}\n" for (x, y), label in rows)
            + "b.jpg"
        },
        "csv-class": {
            "annotations.csv": "class;image;x;y\n" + "".join(f"{label};a;{x};{y}\n" for (x, y), label in rows) + ";b;;"
        },
        "jsonl": {
            "annotations.jsonl": "".join(
                f'{{"image": "a.jpg", "x": {x}, "y": {y}, "label": "{label}"}}\n' for (x, y), label in rows
            )
            + '{"image": "b.jpg"}'
        },
        "jsonl-lists": {
            "annotations.jsonl": f'{{"image": "a", "points": [{NAMED}, {OTHER}], "labels": ["{named}", "{other}"]}}\n'
            '{"image": "b"}'
        },
        "json": {"a.json": {"points": [NAMED, OTHER], "labels": [named, other]}, "b.json": {"points": []}},
        "coco": {"annotations.json": coco([(named, [2.5, 3, 2, 2]), (other, [9, 1, 2, 2])])},
    }


@pytest.mark.parametrize("form", in_every_format("", ""))
@pytest.mark.parametrize("named", ["head", "Person", "pedestrians"])
def test_heads_or_persons_count_and_what_is_called_otherwise_is_told_in_every_format(tmp_path, form, named):
    split = train(folder_of(tmp_path, in_every_format(named, "car")[form]))
    assert {s.image.name: s.points.tolist() for s in split.samples} == {"a.jpg": [NAMED], "b.jpg": []}
    assert split.problems.other_labels == {tmp_path / "a.jpg": "car"}
    assert not split.problems


@pytest.mark.parametrize("form", in_every_format("", ""))
def test_several_labels_of_which_none_is_a_head_are_refused_by_name_in_every_format(tmp_path, form):
    folder_of(tmp_path, in_every_format("car", "bus")[form])
    with pytest.raises(UsageError, match=r"several labels \(bus, car\).*named 'head' or 'person'"):
        train(tmp_path)


@pytest.mark.parametrize("form", in_every_format("", ""))
def test_the_label_that_the_user_gives_counts_in_every_format(tmp_path, form):
    folder_of(tmp_path, in_every_format("head", "car")[form])
    assert points(tmp_path, label="Car")["a.jpg"] == [OTHER]
    with pytest.raises(UsageError, match=r"nothing is called 'carr'; the labels are car, head\. Did you mean 'car'\?"):
        train(tmp_path, label="carr")


@pytest.mark.parametrize("form", in_every_format("", ""))
def test_a_single_label_counts_whatever_it_is_called(tmp_path, form):
    assert points(folder_of(tmp_path, in_every_format("cell", "cell")[form]))["a.jpg"] == [NAMED, OTHER]


@pytest.mark.parametrize("form", in_every_format("", ""))
def test_what_is_marked_to_be_ignored_never_counts_and_is_told(tmp_path, form):
    split = train(folder_of(tmp_path, in_every_format("cell", "__ignore__")[form]))
    assert split.samples[0].points.tolist() == [NAMED]
    assert split.problems.groups == {tmp_path / "a.jpg": 1}


def test_the_label_is_chosen_for_the_whole_dataset_and_not_for_each_file(tmp_path):
    files = {"a.json": {"shapes": [shape("person", NAMED)]}, "b.json": {"shapes": [shape("car", OTHER)]}}
    assert points(folder_of(tmp_path, files)) == {"a.jpg": [NAMED], "b.jpg": []}


def test_the_label_is_the_same_in_every_folder_of_a_split(tmp_path):
    for split, labels in (("train", ("person", "head")), ("test", ("person", "person"))):
        folder_of(tmp_path / split, in_every_format(*labels)["coco"])
    assert points(tmp_path)["a.jpg"] == [OTHER]
    assert [s.count for s in read_split(tmp_path, "test").samples] == [0, 0]


def test_points_of_a_boxes_group_belong_to_the_box(tmp_path):
    parts = [
        shape("cow", [0, 0], [20, 10], kind="rectangle", group_id=1),
        shape("left eye", [5, 5], group_id=1),
        shape("right eye", [15, 5], group_id=1),
    ]
    assert points(folder_of(tmp_path, {"a.json": {"shapes": parts}}, ["a.jpg"])) == {"a.jpg": [[10, 5]]}


def test_head_boxes_with_points_on_the_eyes_are_counted_once_each(tmp_path):
    shapes = []
    for x in (2, 12):
        shapes += [shape("head", [x, 4], [x + 8, 12], kind="rectangle")]
        shapes += [shape(f"{side} eye", [x + place, 6]) for side, place in (("left", 2), ("right", 6))]
    assert points(folder_of(tmp_path, {"a.json": {"shapes": shapes}}, ["a.jpg"])) == {"a.jpg": [[6, 8], [16, 8]]}


def test_a_polygon_around_another_thing_is_no_fault_and_one_around_a_head_is(tmp_path):
    outline = [[0, 0], [9, 0], [9, 9]]
    folder_of(
        tmp_path, {"a.json": {"shapes": [shape("head", NAMED), shape("car", *outline, kind="polygon")]}}, ["a.jpg"]
    )
    assert points(tmp_path) == {"a.jpg": [NAMED]}
    folder_of(tmp_path, {"a.json": {"shapes": [shape("head", *outline, kind="polygon")]}}, [])
    with pytest.raises(UsageError, match=r"shapes\[0\].*received 'polygon'"):
        train(tmp_path)


def test_cars_alone_are_not_taken_for_the_persons_that_a_file_defines(tmp_path):
    categories = [{"id": 0, "name": "car", "supercategory": "vehicle"}, {"id": 1, "name": "person"}]
    folder_of(tmp_path, {"annotations.json": coco([("car", [1, 1, 4, 4])], categories=categories)})
    with pytest.raises(UsageError, match=r"another label \(car\), beside 'person'"):
        train(tmp_path)


def test_the_category_above_all_others_is_none_of_them(tmp_path):
    categories = [{"id": 1, "name": "people"}, {"id": 0, "name": "face", "supercategory": "people"}]
    folder_of(tmp_path, {"annotations.json": coco([("face", [1, 1, 4, 4])], categories=categories)})
    assert points(tmp_path)["a.jpg"] == [[3, 3]]


def test_marks_without_a_label_count_alone_and_not_beside_heads():
    assert decide([None], "x").counts(None)
    counts = decide([None, "head"], "x").counts
    assert (counts("head"), counts(None)) == (True, False)
    with pytest.raises(UsageError, match=r"\(car, without a label\)"):
        decide([None, "car"], "x")


def test_a_table_of_points_counts_beside_files_that_have_labels(tmp_path):
    files = {"a.json": {"shapes": [shape("person", NAMED), shape("car", OTHER)]}, "b.txt": "1 2\n"}
    assert points(folder_of(tmp_path, files)) == {"a.jpg": [NAMED], "b.jpg": [[1, 2]]}


def test_a_label_is_refused_for_formats_whose_heads_have_none(tmp_path):
    folder_of(tmp_path, {"x_ann.mat": ""}, ["Train/img_1.jpg"])
    (tmp_path / "x_ann.mat").rename(tmp_path / "Train" / "img_1_ann.mat")
    with pytest.raises(UsageError, match="Expected no label for format 'qnrf'"):
        read_split(tmp_path, "train", label="head")
