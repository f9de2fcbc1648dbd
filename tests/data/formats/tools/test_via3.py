import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.read import tools_of
from sam_mprompt.errors import UsageError


def region(view: str, xy: list[float], **attributes: str) -> dict[str, object]:
    return {"vid": view, "flg": 0, "z": [], "xy": xy, "av": attributes}


def project(metadata: dict[str, object], **parts: object) -> dict[str, object]:
    """What VIA 3 saves of two images."""
    return {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "pname": "crowd",
            "data_format_version": "3.1.2",
            "vid_list": ["1", "2"],
        },
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
        "attribute": {
            "1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "head", "1": "car"}},
        },
        "file": {
            "1": {"fid": "1", "fname": "a.jpg", "type": 2, "loc": 1, "src": ""},
            "2": {"fid": 2, "fname": "b.jpg", "type": 2, "loc": 2, "src": "https://host/b.jpg"},
        },
        "metadata": metadata,
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": [2]}},
        **parts,
    }


SHAPES = {
    "1_a": region("1", [1, 3.5, 4], **{"1": "0"}),
    "1_b": region("1", [2, 8, 1, 4, 2], **{"1": "0"}),
    "1_c": region("1", [3, 20, 9, 3], **{"1": "0"}),
    "1_d": region("1", [7, 1, 1, 5, 5, 1, 5], **{"1": "1"}),
    "1_e": {"vid": "1", "flg": 0, "z": [], "xy": [], "av": {"2": "sunny"}},
}


def test_a_project_of_version_3_is_told_from_one_of_version_2_and_read(tmp_path):
    root = folder_of(tmp_path, {"via_project_1.json": project(SHAPES)})
    assert tools_of(root, "points") == ("via3",)
    assert points(root) == {"a.jpg": [[3.5, 4], [10, 2], [20, 9]], "b.jpg": []}
    split = train(root)
    assert split.samples[0].boxes.tolist() == [[8, 1, 12, 3]]
    assert split.problems.other_labels == {root / "a.jpg": "car"}
    with pytest.raises(
        UsageError, match="metadata '1_d': expected a point, circle, ellipse or rectangle; received a polygon"
    ):
        train(root, label="car")


def test_a_text_is_a_label_as_it_is_written(tmp_path):
    attributes = {"5": {"aname": "label", "anchor_id": "FILE1_Z0_XY1", "type": 1, "options": {}}}
    metadata = {"1_a": region("1", [1, 3, 4], **{"5": "head"}), "1_b": region("1", [1, 5, 6], **{"5": "dog"})}
    assert points(folder_of(tmp_path, {"p.json": project(metadata, attribute=attributes)})) == {
        "a.jpg": [[3, 4]],
        "b.jpg": [],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (project({"1_a": region("9", [1, 3, 4])}), "metadata '1_a': expected the number of a view as 'vid'"),
        (
            project({}, view={"1": {"fid_list": ["1", "2"]}}),
            r"view '1': expected a view of one image; received \['1', '2'\]",
        ),
        (project({}, view={"1": {"fid_list": ["7"]}}), "view '1': expected the number of a file"),
        (project({}, view={"1": {"fid_list": ["1"]}, "2": {"fid_list": ["1"]}}), "a second view of it"),
        (project({}, file=[]), "expected a project of VIA 3"),
        (project({"1_a": region("1", [1, "3", 4])}), "metadata '1_a': expected rows of 2 numbers"),
        (project({"1_a": region("1", ["point"])}), "metadata '1_a': expected the kind of a shape"),
    ],
)
def test_a_malformed_project_is_refused_by_its_entry(tmp_path, content, message):
    with pytest.raises(UsageError, match=message):
        train(folder_of(tmp_path, {"p.json": content}))
