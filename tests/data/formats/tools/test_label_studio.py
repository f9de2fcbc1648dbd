from urllib.parse import quote

import numpy as np
import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.tools.label_studio import as_uploaded
from sam_mprompt.errors import UsageError

SIDES = {"original_width": 40, "original_height": 30, "image_rotation": 0}


def key_point(x: float, y: float, label: str = "head", **more: object) -> dict[str, object]:
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    return {**SIDES, "id": f"{x} {y}", "type": "keypointlabels", "value": value, **more}


def rectangle(x: float, y: float, width: float, height: float, **more: object) -> dict[str, object]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["head"], **more}
    return {**SIDES, "id": f"{x} {y} r", "type": "rectanglelabels", "value": value}


def task(image: str, *results: object, **more: object) -> dict[str, object]:
    annotation = {"id": 1, "result": list(results), "was_cancelled": False, **more}
    return {"id": 1, "annotations": [annotation], "data": {"image": image}, "predictions": []}


NOBODY = task("b.jpg")


def test_percents_are_taken_times_the_images_sides(tmp_path):
    tasks = [task("a.jpg", key_point(10, 20), rectangle(50, 40, 10, 20)), NOBODY]
    root = folder_of(tmp_path, {"project-1-at-2026.json": tasks})
    assert points(root) == {"a.jpg": [[4, 6], [22, 15]], "b.jpg": []}
    np.testing.assert_allclose(train(root).samples[0].boxes, [[20, 12, 24, 18]], atol=1e-4)


def test_percents_of_a_tiny_crowd_in_the_corner_are_not_taken_for_a_mistake(tmp_path):
    root = folder_of(tmp_path, {"l.json": [task("a.jpg", key_point(0.5, 0.25), key_point(1, 1)), NOBODY]})
    split = train(root)
    assert not split.problems
    np.testing.assert_allclose(split.samples[0].points, [[0.2, 0.075], [0.4, 0.3]], atol=1e-6)


def test_a_resized_image_keeps_its_percents_and_another_shape_is_left_out(tmp_path):
    large = {"original_width": 80, "original_height": 60}
    wrong = {"original_width": 30, "original_height": 40}
    tasks = [task("a.jpg", key_point(10, 20, **large)), task("b.jpg", key_point(10, 20, **wrong))]
    split = train(folder_of(tmp_path, {"l.json": tasks}))
    assert [sample.points.tolist() for sample in split.samples] == [[[4, 6]]]
    assert [path.name for path in split.problems.rescaled] == ["a.jpg"]
    assert [path.name for path in split.problems.misframed] == ["b.jpg"]


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/0a1b2c3d-a.jpg",
        "/data/local-files/?d=photos/a.jpg",
        "https://host/photos/a.jpg?signature=1",
        "s3://bucket/photos/a.jpg",
        "photos\\a.jpg",
    ],
)
def test_an_image_is_found_however_it_was_given_to_label_studio(tmp_path, image):
    assert points(folder_of(tmp_path, {"l.json": [task(image, key_point(10, 20)), NOBODY]}))["a.jpg"] == [[4, 6]]


def test_a_file_that_keeps_the_uploads_name_is_found_too(tmp_path):
    names = ("0a1b2c3d-a.jpg", "b.jpg")
    root = folder_of(tmp_path, {"l.json": [task("/data/upload/3/0a1b2c3d-a.jpg", key_point(10, 20)), NOBODY]}, names)
    assert points(root)["0a1b2c3d-a.jpg"] == [[4, 6]]


def test_the_minimal_export_is_read(tmp_path):
    item = {**SIDES, "x": 10, "y": 20, "width": 0.5, "keypointlabels": ["head"]}
    minimal = {"image": "/data/upload/1/a.jpg", "id": 1, "annotator": 1, "annotation_id": 4, "lead_time": 2.0}
    root = folder_of(tmp_path, {"l.json": [{**minimal, "kp": [item]}, {**minimal, "image": "b.jpg"}]})
    assert points(root) == {"a.jpg": [[4, 6]], "b.jpg": []}


def test_what_nobody_annotated_is_no_image_with_nobody(tmp_path):
    skipped = task("b.jpg", key_point(1, 1), was_cancelled=True)
    predicted = {"id": 2, "data": {"image": "c.jpg"}, "annotations": [], "predictions": [{"result": [key_point(1, 1)]}]}
    names = ("a.jpg", "b.jpg", "c.jpg")
    split = train(folder_of(tmp_path, {"l.json": [task("a.jpg", key_point(10, 20)), skipped, predicted]}, names))
    assert [sample.image.name for sample in split.samples] == ["a.jpg"]
    assert sorted(path.name for path in split.problems.missing_annotations) == ["b.jpg", "c.jpg"]


def test_of_several_annotators_the_ground_truth_counts_else_what_was_saved_last_which_is_told(tmp_path):
    several = task("a.jpg", key_point(10, 20), updated_at="2026-05-01T10:00:00Z", completed_by=1)
    later = {"id": 0, "result": [key_point(50, 50)], "updated_at": "2026-05-02T10:00:00Z", "completed_by": 7}
    several["annotations"] += [later, {"result": [key_point(1, 1)], "was_cancelled": True, "updated_at": "2027"}]
    root = folder_of(tmp_path, {"l.json": [several, NOBODY]})
    split = train(root)
    assert points(root)["a.jpg"] == [[20, 15]]
    told = "annotated 2 times, of which what was saved last by annotator 7 counts"
    assert split.problems.readings == {root / "a.jpg": told.replace("last by", "last, by")}
    assert not split.problems.serious
    several["annotations"][0]["ground_truth"] = True
    root = folder_of(tmp_path, {"l.json": [several, NOBODY]})
    assert points(root)["a.jpg"] == [[4, 6]]
    assert not train(root).problems.readings


def test_of_several_annotators_in_the_minimal_export_the_last_counts_too(tmp_path):
    def item(number: int, x: float) -> dict[str, object]:
        mark = {**SIDES, "x": x, "y": 20, "width": 0.5, "keypointlabels": ["head"]}
        saved = {
            "annotator": number,
            "annotation_id": number,
            "created_at": "2026-05-01T10:00:00.123Z",
            "lead_time": 2.0,
        }
        return {"photo": "/data/upload/1/0a1b2c3d-a.jpg", "id": 5, "kp": [mark], **saved}

    root = folder_of(tmp_path, {"l.json": [item(4, 50), item(3, 10)]}, ("a.jpg",))
    assert points(root)["a.jpg"] == [[20, 6]]
    assert "annotated 2 times" in train(root).problems.readings[root / "a.jpg"]
    other = {**item(4, 50), "id": 6}
    with pytest.raises(UsageError, match="that of an earlier task, too"):
        train(folder_of(tmp_path, {"l.json": [item(3, 10), other]}, ("a.jpg",)))


@pytest.mark.parametrize("name", ["my photo (1).jpg", "déjà vu.jpg"])
@pytest.mark.parametrize("given", ["/data/upload/3/0a1b2c3d-{}", "/data/local-files/?d=x/{}", "https://host/{}"])
def test_blanks_accents_and_signs_of_a_name_are_found_in_its_address(tmp_path, name, given):
    address = given.format(quote(name) if "upload" not in given else quote(as_uploaded(name)))
    root = folder_of(tmp_path, {"l.json": [task(address, key_point(10, 20)), NOBODY]}, (name, "b.jpg"))
    assert points(root)[name] == [[4, 6]]


def test_a_shape_whose_label_is_a_result_of_its_own_is_one_head(tmp_path):
    place = {"x": 50, "y": 40, "width": 10, "height": 20, "rotation": 0}
    shape = {**SIDES, "id": "k", "type": "rectangle", "value": place}
    labels = {**SIDES, "id": "k", "type": "labels", "value": {**place, "labels": ["head"]}}
    assert points(folder_of(tmp_path, {"l.json": [task("a.jpg", shape, labels), NOBODY]}))["a.jpg"] == [[22, 15]]


def test_a_turned_rectangle_has_its_head_where_it_is_drawn(tmp_path):
    # 8 x 3 pixels, turned by a quarter around (20, 15): it reaches from there 3 to the left and 8 down.
    root = folder_of(tmp_path, {"l.json": [task("a.jpg", rectangle(50, 50, 20, 10, rotation=90)), NOBODY]})
    np.testing.assert_allclose(points(root)["a.jpg"], [[18.5, 19]], atol=1e-5)


def test_choices_of_an_image_are_no_marks_and_other_labels_do_not_count(tmp_path):
    choice = {"id": "c", "type": "choices", "value": {"choices": ["crowded"]}}
    brush = {"id": "d", "type": "brushlabels", "value": {"rle": [1], "brushlabels": ["road"]}}
    root = folder_of(tmp_path, {"l.json": [task("a.jpg", key_point(10, 20), choice, brush), NOBODY]})
    assert points(root)["a.jpg"] == [[4, 6]]
    with pytest.raises(UsageError, match="expected a key point, rectangle or ellipse; received 'brushlabels'"):
        train(root, label="road")


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([task("a.jpg", key_point(1, 1)), task("a.jpg", key_point(1, 1))], "that of an earlier task, too"),
        ([task("", key_point(1, 1))], "task 0: expected the file name of an image"),
        ([task("a.jpg", key_point("1", 1))], "result 0: expected rows of 2 numbers"),
        ([task("a.jpg", key_point(1, 1, image_rotation=90))], "turned by 90 degrees"),
        ([task("a.jpg", key_point(1, 1)), 3], "task 1: expected an object; received 3"),
    ],
)
def test_a_malformed_task_is_refused_by_number(tmp_path, tasks, message):
    with pytest.raises(UsageError, match=message):
        train(folder_of(tmp_path, {"l.json": tasks}))
