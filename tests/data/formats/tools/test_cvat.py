import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.tools.cvat import read_cvat
from sam_mprompt.errors import UsageError

EXPORT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>7</id><labels><label><name>head</name><type>points</type></label>
    <label><name>car</name><type>any</type></label></labels></job><dumped>2026-01-01</dumped></meta>
  <image id="0" name="cam 1/a.jpg" width="40" height="30">
    <points label="head" source="manual" occluded="0" points="3.50,4.00;10.00,2.00" z_order="0"/>
    <box label="head" source="manual" occluded="0" xtl="20.0" ytl="10.0" xbr="24.0" ybr="14.0" z_order="0">
      <attribute name="age">old</attribute></box>
    <ellipse label="head" cx="30" cy="20" rx="2" ry="3"/>
    <polygon label="car" points="1,1;5,1;5,5" z_order="0"/>
    <tag label="crowded" source="manual"/>
  </image>
  <image id="1" name="b.jpg" width="40" height="30"></image>
</annotations>
"""


def test_points_boxes_and_ellipses_are_heads_and_a_cars_polygon_is_none(tmp_path):
    root = folder_of(tmp_path, {"annotations.xml": EXPORT}, images=("images/a.jpg", "images/b.jpg"))
    split = train(root)
    assert points(root) == {"a.jpg": [[3.5, 4], [10, 2], [22, 12], [30, 20]], "b.jpg": []}
    assert split.samples[0].boxes.tolist() == [[20, 10, 24, 14]]
    assert list(split.problems.other_labels.values()) == ["car"]
    with pytest.raises(UsageError, match=r"annotations\.xml' image 'cam 1/a\.jpg' <polygon>: expected points"):
        train(root, label="car")


def test_points_of_another_size_are_scaled_and_of_another_shape_are_left_out(tmp_path):
    text = EXPORT.replace('width="40" height="30"', 'width="80" height="60"', 1)
    root = folder_of(tmp_path, {"annotations.xml": text.replace('height="30"', 'height="40"')})
    split = train(root)
    assert split.samples[0].points.tolist()[0] == [1.75, 2]
    assert [path.name for path in split.problems.misframed] == ["b.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><image", r"is not valid XML: .*line 1"),
        ("<annotations><track id='0'/></annotations>", "annotation for images; received tracks of a video"),
        ('<annotations><image id="0"/></annotations>', "expected the file name of an image"),
        ('<annotations><image name="a"/><image name="a"/></annotations>', "a second one of this name"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "expected XML without a document type"),
        ("<annotation/>", "expected <annotations> as the first element; received <annotation>"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_cvat(tmp_path / "annotations.xml")
    assert "annotations.xml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", ['<points points="1,2;3"/>', '<box xtl="1" ytl="no" xbr="2" ybr="2"/>', "<mask/>"])
def test_a_malformed_shape_is_a_fault_of_its_image(tmp_path, shape):
    text = f'<annotations><image name="a.jpg">{shape}</image><image name="b.jpg"/></annotations>'
    root = folder_of(tmp_path, {"annotations.xml": text})
    with pytest.raises(UsageError, match=r"image 'a\.jpg' <"):
        train(root)
