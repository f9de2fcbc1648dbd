import json

import pytest
from crowd_files import HEADS, folder_of, train

from sam_mprompt.data.formats.tools.dotdotgoose import read_pnt
from sam_mprompt.errors import UsageError


def saved(points: object, classes: object = ("person",)) -> str:
    """What DotDotGoose 1.5 saves."""
    content = {
        "classes": classes,
        "points": points,
        "colors": {"person": [0, 0, 0]},
        "metadata": {"survey_id": "", "coordinates": {}},
        "custom_fields": {"fields": [], "data": {}},
        "ui": {"grid": {"size": 200, "color": [255, 255, 255]}, "point": {"radius": 25, "color": [255, 255, 0]}},
    }
    return json.dumps(content)


def dots(*places: list[float]) -> list[dict[str, float]]:
    return [{"x": x, "y": y} for x, y in places]


def test_dots_are_read_by_image_and_an_image_that_nobody_looked_at_is_not_annotated(tmp_path):
    content = saved({"a.jpg": {"person": dots(*HEADS), "bird": dots([1, 1])}, "b.jpg": {"person": []}, "c.jpg": {}})
    folder_of(tmp_path, {"count.pnt": content}, ("a.jpg", "b.jpg", "c.jpg"))
    split = train(tmp_path)
    assert {sample.image.name: sample.points.tolist() for sample in split.samples} == {"a.jpg": HEADS, "b.jpg": []}
    assert split.problems.missing_annotations == [tmp_path / "c.jpg"]
    assert split.problems.other_labels == {tmp_path / "a.jpg": "bird"}


def test_several_classes_of_which_none_is_a_head_are_refused_by_name(tmp_path):
    folder_of(
        tmp_path, {"count.pnt": saved({"a.jpg": {"goose": dots([1, 1]), "duck": dots([2, 2])}}, ["duck", "goose"])}
    )
    with pytest.raises(UsageError, match="several labels \\(duck, goose\\)"):
        train(tmp_path)
    assert train(tmp_path, label="duck").samples[0].points.tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"points": []}', "expected an object with 'points' by image and class"),
        ('{"points": {"a.jpg": 3}}', r"points\['a.jpg'\]: expected an object of classes"),
        ('{"points": {"a.jpg": {"x": [{"x": 1}]}}}', r"points\['a.jpg'\]\['x'\]: expected rows of 2 numbers"),
        ('{"points": {"a.jpg": {"x": 3}}}', r"\['x'\]: expected rows of 2 numbers"),
        ("[]", "expected an object with 'points'"),
    ],
)
def test_a_malformed_file_is_refused_by_image_and_class(tmp_path, content, message):
    path = tmp_path / "a.pnt"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_pnt(path)
