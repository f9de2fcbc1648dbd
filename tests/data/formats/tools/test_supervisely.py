import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.read import recognise, tools_of
from sam_mprompt.errors import UsageError


def thing(kind: str, *places: list[float], label: str = "head") -> dict[str, object]:
    points = {"exterior": list(places), "interior": []}
    return {"classTitle": label, "geometryType": kind, "tags": [], "points": points}


def saved(*objects: object, size: tuple[int, int] = (30, 40)) -> dict[str, object]:
    return {
        "description": "",
        "tags": [],
        "size": dict(zip(("height", "width"), size, strict=True)),
        "objects": list(objects),
    }


def test_points_and_rectangles_of_a_dataset_are_heads(tmp_path):
    objects = thing("point", [3.5, 4]), thing("rectangle", [8, 1], [12, 3]), thing("bitmap", label="road")
    root = folder_of(
        tmp_path / "ds0", {"ann/a.jpg.json": saved(*objects), "ann/b.jpg.json": saved()}, ("img/a.jpg", "img/b.jpg")
    )
    assert tools_of(root, "points") == ("supervisely",)
    assert points(root) == {"a.jpg": [[3.5, 4], [10, 2]], "b.jpg": []}
    split = train(root)
    assert split.samples[0].boxes.tolist() == [[8, 1, 12, 3]]
    assert split.problems.other_labels == {root / "img/a.jpg": "road"}
    with pytest.raises(UsageError, match=r"objects\[2\]: expected a point or a rectangle; received 'bitmap'"):
        train(root, label="road")


def test_a_project_proposes_its_dataset(tmp_path):
    files = {"meta.json": {"classes": []}, "ds0/ann/a.jpg.json": saved(thing("point", [3, 4]))}
    folder_of(tmp_path, files, ("ds0/img/a.jpg",))
    with pytest.raises(UsageError, match=r"Did you mean '.*ds0' \(points\)"):
        recognise(tmp_path)


def test_points_of_another_size_are_scaled(tmp_path):
    files = {"ann/a.jpg.json": saved(thing("point", [8, 12]), size=(60, 80))}
    assert points(folder_of(tmp_path, files, ("img/a.jpg",))) == {"a.jpg": [[4, 6]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(3), r"objects\[0\]: expected an object of a class; received 3"),
        (saved(thing("point", ["x", 1])), r"objects\[0\] points: expected rows of 2 numbers"),
        (saved(thing("point", [1, 1], [2, 2])), "received 'point' of 2 points"),
        ({"objects": {}, "size": {}}, "expected an object with 'size' and the list 'objects'"),
    ],
)
def test_a_malformed_object_is_refused_by_number(tmp_path, content, message):
    with pytest.raises(UsageError, match=message):
        train(folder_of(tmp_path, {"ann/a.jpg.json": content}, ("img/a.jpg",)))
