import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.errors import UsageError

POINT = {"shape_attributes": {"name": "point", "cx": 3.5, "cy": 4}, "region_attributes": {"label": "head"}}
RECT = {
    "shape_attributes": {"name": "rect", "x": 8, "y": 1, "width": 4, "height": 2},
    "region_attributes": {"label": "head", "mood": "good"},
}
CIRCLE = {
    "shape_attributes": {"name": "circle", "cx": 20, "cy": 9, "r": 3},
    "region_attributes": {"label": {"head": True}},
}
IMAGES = {
    "a.jpg1234": {"filename": "a.jpg", "size": 1234, "regions": [POINT, RECT, CIRCLE], "file_attributes": {}},
    "b.jpg99": {"filename": "https://host/x/b.jpg", "size": 99, "regions": [], "file_attributes": {}},
}
HEADS = {"a.jpg": [[3.5, 4], [10, 2], [20, 9]], "b.jpg": []}
OLD = {**IMAGES, "a.jpg1234": {**IMAGES["a.jpg1234"], "regions": {"0": POINT, "1": RECT, "2": CIRCLE}}}
PROJECT = {"_via_settings": {"ui": {}}, "_via_img_metadata": IMAGES, "_via_attributes": {}}


@pytest.mark.parametrize("content", [IMAGES, OLD, PROJECT], ids=["annotations", "version 1", "project"])
@pytest.mark.parametrize("name", ["via_region_data.json", "annotations.json"])
def test_annotations_and_projects_are_read_under_any_name(tmp_path, content, name):
    assert points(folder_of(tmp_path, {name: content})) == HEADS


CSV = """filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
a.jpg,1234,"{}",2,0,"{""name"":""point"",""cx"":3.5,""cy"":4}","{""type"":""head""}"
a.jpg,1234,"{}",2,1,"{""name"":""rect"",""x"":8,""y"":1,""width"":4,""height"":2}","{""type"":""head""}"
b.jpg,99,"{}",0,0,"{}","{}"
"""


def test_the_csv_is_read(tmp_path):
    root = folder_of(tmp_path, {"via_export_csv.csv": CSV})
    assert points(root) == {"a.jpg": HEADS["a.jpg"][:2], "b.jpg": []}
    assert train(root).samples[0].boxes.tolist() == [[8, 1, 12, 3]]


def test_an_attribute_that_says_no_label_is_none_and_the_only_one_is(tmp_path):
    regions = [
        {**POINT, "region_attributes": {"who": "head"}},
        {**RECT, "region_attributes": {"who": "car"}},
    ]
    root = folder_of(tmp_path, {"v.json": {"k": {**IMAGES["a.jpg1234"], "regions": regions}, "l": IMAGES["b.jpg99"]}})
    assert points(root) == {"a.jpg": [[3.5, 4]], "b.jpg": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"k": {"filename": "a.jpg", "regions": [{"shape_attributes": 1}]}},
            r"image 'a\.jpg' region 0: expected a region",
        ),
        ({"k": {"filename": "a.jpg", "regions": []}, "l": 3}, r"'l': expected an object with 'filename'"),
        ({"k": {"filename": "a.jpg", "regions": []}, "l": {"filename": "c/a.jpg"}}, "received a second entry"),
        (
            {"k": {"filename": "a.jpg", "regions": [{"shape_attributes": {"name": "polygon"}}]}},
            "region 0: expected a point, circle, ellipse or rect; received 'polygon'",
        ),
        (
            {"k": {"filename": "a.jpg", "regions": [{"shape_attributes": {"name": "point", "cx": "1", "cy": 2}}]}},
            "region 0: expected rows of 2 numbers",
        ),
    ],
)
def test_a_malformed_entry_is_refused_by_image_and_region(tmp_path, content, message):
    with pytest.raises(UsageError, match=message):
        train(folder_of(tmp_path, {"via.json": content}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('a.jpg,1,"{}",1,0,"{","{}"', "line 2 region_shape_attributes is not valid JSON"),
        (',1,"{}",1,0,"{}","{}"', "line 2: expected the file name of an image"),
        ('a.jpg,1,"{}",1,0,"{}","{}"', "line 2: expected a point, circle"),
    ],
)
def test_a_malformed_row_is_refused_by_line(tmp_path, row, message):
    with pytest.raises(UsageError, match=message):
        train(folder_of(tmp_path, {"via.csv": f"{CSV.splitlines()[0]}\n{row}\n"}))
