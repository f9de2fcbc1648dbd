import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sam_mprompt.data.formats.read import read_split, recognise
from sam_mprompt.data.formats.tools.collection import read_collection
from sam_mprompt.data.formats.tools.sidecars import read_sidecar
from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import UsageError

HEADS = [[3.5, 4.0], [10.0, 2.0]]


def picture(path: Path, size: tuple[int, int] = (20, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "gray").save(path)
    return path


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        picture(folder / name)
    return folder


def samples(root: Path, split: str = "train", val_fraction: float = 0.0) -> dict[str, Sample]:
    found = read_split(root, split, format="points", val_fraction=val_fraction)
    return {sample.image.name: sample for sample in found.samples}


def coco(**parts: object) -> dict[str, object]:
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}]
    return {"images": images, "annotations": [], "categories": [{"id": 1, "name": "head"}], **parts}


FORMS = {
    "txt": {"a.txt": "3.5 4\n10 2\n", "b.txt": ""},
    "txt-comma": {"a.txt": "# by hand\nx,y\n3.5, 4\n\n10,2\n", "b.txt": "# nobody\n"},
    "json": {"a.json": {"points": HEADS}, "b.json": {"points": []}},
    "mixed": {"a.json": {"points": HEADS}, "b.txt": ""},
    "in-annotations": {"annotations/a.txt": "3.5 4\n10 2\n", "annotations/b.json": {"points": []}},
    "csv": {"annotations.csv": "a.jpg,3.5,4\na.jpg,10,2\nb.jpg\n"},
    "csv-header": {"annotations.csv": "x,y,who,image\n3.5,4,me,a.jpg\n10,2,,a.jpg\n,,,b.jpg\n"},
    "csv-excel": {"annotations.csv": "\ufeffimage;x;y\r\na;3.5;4\r\na;10;2\r\nb;;\r\n"},
    "csv-inner": {"annotations/annotations.csv": "images/a.jpg,3.5,4\nimages/a.jpg,10,2\nimages\\b.jpg,,\n"},
    "jsonl": {"annotations.jsonl": '{"image": "a", "x": 3.5, "y": 4}\n{"image": "a", "x": 10, "y": 2}\n{"image": "b"}'},
    "jsonl-rows": {
        "annotations.jsonl": '{"image": "a.jpg", "points": [[3.5, 4], [10, 2]]}\n{"image": "b", "points": []}'
    },
    "coco": {
        "annotations.json": coco(
            annotations=[
                {"image_id": 7, "category_id": 1, "bbox": [2.5, 2, 2, 4]},
                {"image_id": 7, "category_id": 1, "bbox": [9, 1, 2, 2]},
            ]
        )
    },
    "coco-keypoints": {
        "annotations/person_keypoints_default.json": coco(
            annotations=[
                {"image_id": 7, "category_id": 1, "keypoints": [0, 0, 0, 3.5, 4, 2, 1, 1, 2], "bbox": [0, 0, 9, 9]},
                {"image_id": 7, "category_id": 1, "keypoints": [10, 2, 1]},
            ]
        )
    },
    "labelme": {
        "a.json": {
            "shapes": [
                {"shape_type": "point", "points": [[3.5, 4]], "label": "head"},
                {"shape_type": "rectangle", "points": [[11, 3], [9, 1]], "label": "head"},
            ]
        },
        "b.json": {"shapes": []},
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inner", ["", "images"])
def test_every_form_gives_the_same_heads_and_an_empty_scene(tmp_path, form, inner):
    pictures(tmp_path / inner, "a.jpg", "b.jpg")
    for name, content in FORMS[form].items():
        written(tmp_path / name, content)
    assert recognise(tmp_path) == "points"
    found = samples(tmp_path)
    np.testing.assert_array_equal(found["a.jpg"].points, np.array(HEADS, np.float32))
    assert found["b.jpg"].points.shape == (0, 2)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "bmp", "tif", "TIFF", "webp"])
def test_images_of_every_kind_and_case_are_found(tmp_path, suffix):
    pictures(tmp_path, f"a.{suffix}")
    written(tmp_path / "a.txt", "1 1")
    assert list(samples(tmp_path)) == [f"a.{suffix}"]


points_lists = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=12)


@given(points=points_lists, separator=st.sampled_from([" ", "\t", ",", ", ", "  "]))
@settings(max_examples=50, deadline=None)
def test_points_survive_a_text_file_whatever_separates_them(tmp_path_factory, points, separator):
    path = tmp_path_factory.mktemp("txt") / "a.txt"
    written(path, "\n".join(f"{x!r}{separator}{y!r}" for x, y in points))
    np.testing.assert_array_equal(read_sidecar(path).heads().points, np.reshape(points, (-1, 2)))


@given(points=points_lists, delimiter=st.sampled_from(",;\t"), header=st.booleans())
@settings(max_examples=50, deadline=None)
def test_points_survive_a_csv_file_whatever_separates_them(tmp_path_factory, points, delimiter, header):
    rows = [["image", "x", "y"]] * header + [["crowd 1.jpg", repr(x), repr(y)] for x, y in points]
    path = tmp_path_factory.mktemp("csv") / "annotations.csv"
    written(path, "\n".join(delimiter.join(row) for row in rows))
    heads = read_collection(path).marks
    assert set(heads) == ({"crowd 1.jpg"} if points else set())
    if points:
        np.testing.assert_array_equal(heads["crowd 1.jpg"].heads().points, points)


FIELDS = "points boxes shapes shape_type images annotations id file_name bbox image_id category_id keypoints image x y"
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.sampled_from(["point", "a"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=4),
    max_leaves=12,
)
nearly_coco = st.fixed_dictionaries(
    {
        "images": st.just([{"id": 0, "file_name": "a"}]) | anything,
        "annotations": st.lists(
            st.fixed_dictionaries(
                {"image_id": st.just(0)},
                optional={"bbox": anything, "keypoints": anything, "category_id": anything, "iscrowd": anything},
            )
            | anything,
            max_size=3,
        ),
    },
    optional={"categories": anything},
)
nearly_labelme = st.fixed_dictionaries(
    {
        "shapes": anything
        | st.lists(st.fixed_dictionaries({"shape_type": st.sampled_from(["point", "rectangle"]), "points": anything}))
    }
)


@given(
    kind=st.sampled_from(["a.txt", "a.json", "annotations.csv", "annotations.jsonl", "annotations.json"]),
    content=st.text(max_size=40) | (anything | nearly_coco | nearly_labelme).map(json.dumps),
)
@settings(max_examples=300, deadline=None)
def test_any_content_gives_heads_or_a_request_error_that_names_the_file(tmp_path_factory, kind, content):
    path = tmp_path_factory.mktemp("fuzz") / kind
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    read = read_sidecar if path.stem == "a" else read_collection
    try:
        read(path)
    except UsageError as error:
        message = str(error)
    else:
        return
    assert kind in message
    assert "\n" not in message


def test_boxes_are_read_beside_points_and_alone_stand_for_their_centres(tmp_path):
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    boxes = [[2, 2, 6, 8], [8, 0, 12, 4]]
    written(tmp_path / "a.json", {"points": [[5, 5]], "boxes": boxes})
    written(tmp_path / "b.json", {"boxes": boxes})
    written(tmp_path / "c.json", {"boxes": []})
    found = samples(tmp_path)
    assert found["a.jpg"].points.tolist() == [[5, 5]]
    assert found["b.jpg"].points.tolist() == [[4, 5], [10, 2]]
    assert found["a.jpg"].boxes.tolist() == found["b.jpg"].boxes.tolist() == boxes
    assert found["c.jpg"].points.shape == (0, 2)


def test_coco_boxes_become_corners_and_groups_are_reported_instead_of_counted(tmp_path):
    pictures(tmp_path, "a.jpg", "b.jpg")
    annotations = [
        {"image_id": 7, "bbox": [2, 3, 4, 6]},
        {"image_id": 7, "bbox": [0, 0, 20, 16], "iscrowd": 1},
    ]
    written(tmp_path / "_annotations.coco.json", coco(annotations=annotations))
    split = read_split(tmp_path, "train", val_fraction=0)
    assert split.samples[0].boxes.tolist() == [[2, 3, 6, 9]]
    assert split.samples[0].points.tolist() == [[4, 6]]
    assert split.problems.groups == {tmp_path / "a.jpg": 1}


def test_of_several_coco_categories_the_head_counts(tmp_path):
    pictures(tmp_path, "a.jpg", "b.jpg")
    annotations = [
        {"image_id": 7, "category_id": number, "bbox": [x, 0, 2, 2]} for x, number in ((1, 1), (2, 2), (4, 2))
    ]
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "Person"}, {"id": 3, "name": "head"}]
    written(tmp_path / "annotations.json", coco(annotations=annotations, categories=categories))
    assert samples(tmp_path)["a.jpg"].points.tolist() == [[3, 1], [5, 1]]
    categories[1]["name"] = "dog"
    written(tmp_path / "annotations.json", coco(annotations=annotations, categories=categories))
    with pytest.raises(UsageError, match=r"several labels \(car, dog\)"):
        samples(tmp_path)
    written(tmp_path / "annotations.json", coco(annotations=annotations, categories=3))
    with pytest.raises(UsageError, match=r"several labels \(category 1, category 2\)"):
        samples(tmp_path)


def test_an_image_absent_from_the_collection_is_left_out_and_reported(tmp_path):
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    written(tmp_path / "annotations.csv", "a.jpg,1,1\nb.jpg\nz.jpg,2,2\n")
    split = read_split(tmp_path, "train", val_fraction=0)
    assert [s.image.name for s in split.samples] == ["a.jpg", "b.jpg"]
    assert split.problems.missing_annotations == [tmp_path / "c.jpg"]
    assert split.problems.missing_images == [tmp_path / "z.jpg"]


def test_an_image_without_its_file_and_a_file_without_its_image_are_reported(tmp_path):
    pictures(tmp_path, "a.jpg", "b.jpg")
    written(tmp_path / "a.txt", "1 1")
    written(tmp_path / "gone.txt", "1 1")
    written(tmp_path / "README.txt", "about")
    split = read_split(tmp_path, "train", val_fraction=0)
    assert split.problems.missing_annotations == [tmp_path / "b.jpg"]
    assert split.problems.missing_images == [tmp_path / "gone"]


def test_lists_make_the_splits_with_and_without_suffix(tmp_path):
    names = [f"cam{index}.jpg" for index in range(6)]
    pictures(tmp_path / "images", *names)
    written(tmp_path / "annotations.csv", "\n".join(f"{name},1,1" for name in names))
    written(tmp_path / "train.txt", "cam0\ncam1.jpg\n\n# a comment\nimages/cam2.jpg\n")
    written(tmp_path / "val.txt", "cam3\n")
    written(tmp_path / "test.txt", "cam4\n")
    assert list(samples(tmp_path)) == ["cam0.jpg", "cam1.jpg", "cam2.jpg"]
    assert list(samples(tmp_path, "val")) == ["cam3.jpg"]
    assert list(samples(tmp_path, "test")) == ["cam4.jpg"]


def test_without_a_train_list_train_is_what_no_list_names(tmp_path):
    for index in range(5):
        picture(tmp_path / f"cam{index}.jpg")
        written(tmp_path / f"cam{index}.txt", "1 1")
    written(tmp_path / "test.txt", "cam1\ncam4\n")
    assert list(samples(tmp_path)) == ["cam0.jpg", "cam2.jpg", "cam3.jpg"]
    assert list(samples(tmp_path, "test")) == ["cam1.jpg", "cam4.jpg"]


def test_without_lists_val_is_carved_and_a_test_split_has_to_be_named(tmp_path):
    for index in range(10):
        picture(tmp_path / f"cam{index}.jpg")
        written(tmp_path / f"cam{index}.txt", "1 1")
    train, val = samples(tmp_path, "train", 0.3), samples(tmp_path, "val", 0.3)
    assert (len(train), len(val)) == (7, 3)
    assert not train.keys() & val.keys()
    with pytest.raises(UsageError, match=r"has no test split, only train and val\. Name its images in 'test\.txt'"):
        read_split(tmp_path, "test")


def test_a_listed_image_that_is_not_there_is_reported(tmp_path):
    pictures(tmp_path, "a.jpg")
    written(tmp_path / "a.txt", "1 1")
    written(tmp_path / "train.txt", "a\nghost.jpg\n")
    assert read_split(tmp_path, "train", val_fraction=0).problems.missing_images == [tmp_path / "ghost.jpg"]


@pytest.mark.parametrize("val", ["val", "valid"])
def test_folders_of_splits_each_have_images_and_annotations_of_their_own(tmp_path, val):
    for folder, count in (("train", 3), (val, 2), ("test", 1)):
        names = [f"{folder}{index}.jpg" for index in range(count)]
        pictures(tmp_path / folder, *names)
        images = [{"id": index, "file_name": name} for index, name in enumerate(names)]
        written(tmp_path / folder / "_annotations.coco.json", coco(images=images))
    assert recognise(tmp_path) == "points"
    assert [len(samples(tmp_path, split)) for split in ("train", "val", "test")] == [3, 2, 1]


def test_annotated_images_both_in_the_folder_and_in_folders_of_splits_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "train"):
        pictures(folder, "a.jpg")
        written(folder / "a.txt", "1 1")
    with pytest.raises(UsageError, match=r"either in .* or in its folders"):
        samples(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"annotations.csv": "a,1,1", "annotations.jsonl": ""}, r"found 'annotations\.csv' and 'annotations\.jsonl'"),
        ({"annotations.csv": "a,1,1", "a.txt": "1 1"}, r"found 'annotations\.csv' and 'a\.txt'"),
        ({"a.txt": "1 1", "a.json": {"points": []}}, r"annotates 'a\.jpg' a second time"),
        ({"a.txt": "1 1", "a.jpg.txt": "1 1"}, r"annotates 'a\.jpg' a second time, as 'a(\.jpg)?'"),
        ({"annotations.csv": "a,1,1\na.jpg,2,2"}, r"annotates 'a\.jpg' a second time, as 'a\.jpg'"),
        ({"twin.txt": "1 1"}, r"says 'twin', which may be 'twin\.jpg' or 'twin\.png'"),
        ({"a.txt": "1 1", "train.txt": "a\ntwin\n"}, r"train\.txt' line 2 says 'twin'"),
    ],
)
def test_ambiguous_annotations_are_refused_by_name(tmp_path, files, message):
    pictures(tmp_path, "a.jpg", "twin.jpg", "twin.png")
    for name, content in files.items():
        written(tmp_path / name, content)
    with pytest.raises(UsageError, match=message):
        samples(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "1 1\n2\n", r"a\.txt' line 2: expected 2 numbers 'x y'; received '2'"),
        ("a.txt", "1 1 1\n", r"a\.txt' line 1: expected 2 numbers"),
        ("a.txt", "1 one", r"line 1: expected 2 numbers 'x y'; received '1 one'"),
        ("a.json", "{", r"a\.json' is not valid JSON: line 1"),
        ("a.json", [[1, 2]], r"a\.json': expected \{\"points\""),
        ("a.json", {"points": [[1, 2], ["3", 4]]}, r"a\.json' points: .*\['3', 4\] as row 1"),
        ("a.json", {"shapes": [{"shape_type": "polygon", "points": []}]}, r"shapes\[0\].*received 'polygon'"),
        ("a.json", {"shapes": [{"shape_type": []}]}, r"shapes\[0\]: expected a point"),
        ("a.json", {"shapes": 3}, r"shapes\[0\]: expected a point"),
        ("a.json", {"shapes": [{"shape_type": "rectangle", "points": [[1, 1]]}]}, r"shapes\[0\]: expected 2 points"),
        ("annotations.csv", "image,x,y\na,1,1\na,1\n", r"annotations\.csv' line 3: .*received 'a,1'"),
        ("annotations.csv", 'a,1,"\n"\n', r"received 'a,1,\\n'"),
        ("annotations.csv", "a,1,1\n,2,2\n", r"line 2: .*no image name"),
        ("annotations.csv", "x,y\n1,1\n", r"line 1: expected columns called 'image', 'x' and 'y'; found 'x', 'y'"),
        ("annotations.jsonl", '{"image": "a"}\nx', r"annotations\.jsonl' line 2 is not valid JSON"),
        ("annotations.jsonl", '{"x": 1, "y": 2}', r"line 1: expected an object with the file name"),
        ("annotations.jsonl", '{"image": "a", "x": 1}', r"line 1: .*\[1, None\]"),
        (
            "annotations.jsonl",
            '{"image": "a", "x": [], "y": []}',
            r"line 1: expected numbers \(x y\); received \[\[\], \[\]\]",
        ),
        ("annotations.json", {"images": []}, r"annotations\.json': expected a COCO file"),
        ("annotations.json", coco(annotations=[{"image_id": 1}]), r"annotations\[0\]: expected the 'image_id'"),
        ("annotations.json", coco(annotations=[{"image_id": 7}]), r"annotations\[0\]: expected a 'bbox' or"),
        ("annotations.json", coco(annotations=[{"image_id": 7, "bbox": [1, 2]}]), r"annotations\[0\] bbox"),
        ("annotations.json", coco(annotations=[{"image_id": 7, "keypoints": [1, 2]}]), r"\[0\] keypoints"),
        ("annotations.json", coco(images=[{"id": 7}]), r"images\[0\]: expected 'id' and 'file_name'"),
    ],
)
def test_a_malformed_file_is_refused_by_line_or_field(tmp_path, name, content, message):
    pictures(tmp_path, "a.jpg", "b.jpg")
    written(tmp_path / name, content)
    with pytest.raises(UsageError, match=message):
        samples(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    pictures(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_bytes(b"\xff1\x00")
    with pytest.raises(UsageError, match=r"a\.txt': it is not UTF-8 text"):
        samples(tmp_path)


def test_points_outside_and_nan_are_dropped_and_counted(tmp_path):
    pictures(tmp_path, "a.jpg")
    written(tmp_path / "a.txt", "0 0\n19 15\n20 15\n19 16\n-1 3\nnan 3\n")
    split = read_split(tmp_path, "train", val_fraction=0)
    assert split.samples[0].points.tolist() == [[0, 0], [19, 15]]
    assert split.problems.points_outside == {tmp_path / "a.jpg": 4}


def test_hidden_files_of_other_systems_are_ignored(tmp_path):
    pictures(tmp_path, "a.jpg")
    written(tmp_path / "a.txt", "1 1")
    written(tmp_path / "._a.txt", "junk")
    written(tmp_path / "._a.jpg", "junk")
    split = read_split(tmp_path, "train", val_fraction=0)
    assert list(samples(tmp_path)) == ["a.jpg"]
    assert not split.problems
