import json
import warnings

import numpy as np
import pytest

from sam_mprompt.counting.region_files import read_regions
from sam_mprompt.counting.result import CountResult
from sam_mprompt.errors import RegionWarning, UsageError

SQUARE = [[10, 10], [50, 10], [50, 50.5], [10, 50.5]]
HOLE = [[20, 20], [30, 20], [30, 30], [20, 30]]


def closed(ring):
    return [*ring, ring[0]]


def feature(ring=SQUARE, geometry=None, **properties):
    geometry = geometry or {"type": "Polygon", "coordinates": [closed(ring)]}
    return {"type": "Feature", "properties": {"name": "a", **properties}, "geometry": geometry}


def written(path, *features, **members):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **members}))
    return path


def read(tmp_path, *features, **members):
    return list(read_regions(written(tmp_path / "r.geojson", *features, **members)))


def read_csv(tmp_path, text):
    (tmp_path / "r.csv").write_text(text)
    return list(read_regions(tmp_path / "r.csv"))


def test_geojson_holds_names_ignore_zones_areas_images_and_the_size_that_they_were_drawn_in(tmp_path):
    one, two = read(
        tmp_path,
        feature(area_m2=12.5, image="x.jpg"),
        feature(name=7, IGNORE=1, width=640, height=480),
        width=1024,
        height=768,
    )
    assert (one.name, one.ignore, one.area_m2, one.image, one.image_size) == ("a", False, 12.5, "x.jpg", (768, 1024))
    assert (two.name, two.ignore, two.area_m2, two.image, two.image_size) == ("7", True, None, "", (480, 640))
    np.testing.assert_array_equal(one.polygons[0][0], SQUARE)


def test_a_multipolygon_with_holes_and_heights_is_one_region(tmp_path):
    far = [[x + 100, y, 3] for x, y in SQUARE]
    shape = {"type": "MultiPolygon", "coordinates": [[closed(SQUARE), closed(HOLE)], [closed(far)]]}
    [region] = read(tmp_path, feature(geometry=shape))
    assert [[len(ring) for ring in polygon] for polygon in region.polygons] == [[4, 4], [4]]


def test_y_that_runs_upwards_is_turned_and_told(tmp_path):
    with pytest.warns(RegionWarning, match=r"r\.geojson': y is negative, as in QGIS"):
        [region] = read(tmp_path, feature([[x, -y] for x, y in SQUARE]))
    assert region.corners().min() == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path, feature([[10, -1], [50, -1], [50, 50], [10, 50]]))


def test_a_table_has_a_row_for_each_corner(tmp_path):
    text = "name,x,y,ignore,area_m2,note\na,10,10,,12.5,\na,50,10,,,\na,50,50.5,,12.5,\n"
    text += "b,0,0,yes,,n\nb,9,0,,,\nb,9,9,yes,,\n"
    one, two = read_csv(tmp_path, text)
    assert (one.name, one.ignore, one.area_m2) == ("a", False, 12.5)
    assert (two.name, two.ignore, two.area_m2) == ("b", True, None)
    np.testing.assert_array_equal(one.polygons[0][0], SQUARE[:3])


def test_a_table_may_be_a_spreadsheets_and_of_many_images(tmp_path):
    text = "\ufeffImage;Name;X;Y;width;height\n1.jpg;a;10,5;10;640;480\n1.jpg;a;50;10\n1.jpg;a;50;50\n"
    text += "2.jpg;a;10;10\n2.jpg;a;50;10\n2.jpg;a;50;50\n2.jpg;a;10;10\n"
    one, two = read_csv(tmp_path, text)
    assert (one.image, one.image_size, two.image, two.image_size) == ("1.jpg", (480, 640), "2.jpg", None)
    np.testing.assert_array_equal(one.polygons[0][0][0], [10.5, 10])
    assert len(two.polygons[0][0]) == 3


def test_a_file_and_its_regions_count(tmp_path):
    regions = read_regions(written(tmp_path / "r.json", feature(area_m2=10)))
    density = np.full((12, 16), 0.5, np.float32)
    found = CountResult(density, None, (96, 128), (8.0, 8.0)).regions(regions)
    assert found["a"].count == pytest.approx(40 * 40.5 / 64 * 0.5)
    assert found["a"].per_m2 == pytest.approx(40 * 40.5 / 64 * 0.05)


POINT = {"type": "Point", "coordinates": [3, 4]}


@pytest.mark.parametrize(
    ("features", "why"),
    [
        ([], "holds no region"),
        ([feature(name=None)], r"features\[0\]: expected a property 'name'; found name"),
        ([feature(), feature()], "Two regions are called 'a'"),
        ([feature(geometry=POINT)], r"features\[0\]: expected a Polygon or MultiPolygon; received 'Point'"),
        ([feature(geometry={"type": "Polygon", "coordinates": [SQUARE]})], "a ring that ends where it begins"),
        ([feature(geometry={"type": "Polygon", "coordinates": [[1, 2]]})], "rows of 2 numbers"),
        ([feature(geometry={"type": "Polygon", "coordinates": []})], "expected rings of coordinates"),
        ([feature(geometry={"type": "Polygon", "coordinates": [[[0, 0], ["a", 1], [0, 0]]]})], "rows of 2 numbers"),
        ([feature(geometry={"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 1], [0, 0]]]})], "finite"),
        ([feature([[0, 0], [9, 9], [9, 0], [0, 9]])], r"features\[0\]: Region 'a': its outline crosses itself"),
        ([feature(ignore="perhaps")], "ignore: expected true or false; received 'perhaps'"),
        ([feature(ingore=True)], "the property 'ingore' is not read. Did you mean 'ignore'"),
        ([feature(area=12)], "the property 'area' is not read. Did you mean 'area_m2'"),
        ([feature(area_m2="many")], "area_m2: expected square metres; received 'many'"),
        ([feature(area_m2=True)], "area above 0 square metres"),
        ([feature(area_m2=10**400)], "area_m2: expected square metres"),
        ([feature(width=640)], "expected width and height of the image in pixels; received 640 and None"),
        ([feature([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]])], r"all corners lie in 0..1, as shares"),
        ([feature([[8.1, 47], [8.2, 47], [8.2, 47.1]])], "covers 0.005 square pixels: .* not in degrees"),
        ([3], r"features\[0\]: expected a Feature with properties"),
        ([{"type": "Feature", "geometry": POINT}], r"features\[0\]: expected a Feature with properties"),
    ],
)
def test_what_is_wrong_in_geojson_is_told_with_its_place(tmp_path, features, why):
    with pytest.raises(UsageError, match=why) as raised:
        read(tmp_path, *features)
    assert "r.geojson" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no region"),
        ("name,x,y\n", "holds no region"),
        ("a,1,2\na,3,4\n", "line 1: expected GeoJSON, or a table with the columns 'name', 'x' and 'y'"),
        ("name,x,y\na,1,2\na,x,4\n", "line 3: expected numbers"),
        ("name,x,y\na,1,2\na,inf,4\n", "line 3: expected finite"),
        ("name,x,y\na,1,2\n,3,4\n", "line 3: expected the name of a region"),
        ("name,x,y\na,1,2,9\n", "line 2: expected 3 cells"),
        ("name,x,y\na,1,2\na,9,9\n", "line 2: Region 'a': expected an outline of at least three corners"),
        (
            "name,x,y\na,0,0\na,9,0\na,9,9\nb,0,0\nb,5,0\nb,5,5\na,0,9\n",
            "line 8: .* 'a' in rows that follow each other",
        ),
        ("name,x,y,area_m2\na,0,0,5\na,9,0,6\na,9,9,5\n", "line 3: area_m2 of 'a' differs from the rows before"),
        ("name,x,y,ignored\na,0,0,1\n", "line 1: the column 'ignored' is not read. Did you mean 'ignore'"),
        ('{"type": "Topology"}', "expected a FeatureCollection of Polygons; received 'Topology'"),
        ("[1]", "expected a FeatureCollection of Polygons; received None"),
        ('{"type": ', "not valid JSON"),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_its_line(tmp_path, text, why):
    with pytest.raises(UsageError, match=why) as raised:
        read_csv(tmp_path, text)
    assert "r.csv" in str(raised.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="Cannot read"):
        read_regions(tmp_path / "nowhere.csv")
    with pytest.raises(UsageError, match="expected a file"):
        read_regions(tmp_path)


def test_a_file_may_hold_one_feature_and_begin_with_empty_lines(tmp_path):
    (tmp_path / "r.json").write_text("\n  " + json.dumps(feature()))
    [region] = read_regions(tmp_path / "r.json")
    assert (region.name, region.image) == ("a", "")


def test_y_that_runs_upwards_leaves_x_and_sizes_as_they_are(tmp_path):
    with pytest.warns(RegionWarning, match="turned downwards"):
        [region] = read(tmp_path, feature([[x, -y] for x, y in SQUARE]))
    np.testing.assert_array_equal(region.corners(), SQUARE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [half] = read(tmp_path, feature([[10, -10], [50, -10], [50, 10], [10, 10]]))
    assert half.corners()[:, 1].tolist() == [-10, -10, 10, 10]


@pytest.mark.parametrize(
    ("features", "why"),
    [
        ([feature(geometry=3)], "expected a Polygon or MultiPolygon; received None"),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [5]})],
            r"coordinates: expected rows of 2 numbers \(x y\)",
        ),
        ([{"type": "Feature", "properties": {}}], r"expected a property 'name'; found none\.$"),
        ([feature(height=480)], "received None and 480"),
        ([feature(ignore=[True])], r"ignore: expected true or false; received \[True\]"),
        ([feature(), feature([[0, 0], [9, 9], [9, 0], [0, 9]], name="b")], r"features\[1\]: Region 'b'"),
    ],
)
def test_the_place_of_a_mistake_is_told_once(tmp_path, features, why):
    with pytest.raises(UsageError, match=why) as raised:
        read(tmp_path, *features)
    assert str(raised.value).count("r.geojson") == 1


def test_an_empty_area_is_none_and_other_properties_are_passed_over(tmp_path):
    for others in ({"area_m2": "", "comment": 3}, {"arena": "north"}):
        [region] = read(tmp_path, feature(**others))
        assert region.area_m2 is None


def test_a_table_may_call_its_images_otherwise_and_have_empty_cells_at_the_end(tmp_path):
    one, two = read_csv(
        tmp_path, "filename,name,x,y\n1.jpg,a,0,0,,\n1.jpg,a,9,0\n1.jpg,a,9,9\n2.jpg,a,0,0\n2.jpg,a,9,0\n2.jpg,a,9,9\n"
    )
    assert (one.image, two.image) == ("1.jpg", "2.jpg")
    [plain] = read_csv(tmp_path, "name,x,y\na,0,0\na,9,0\na,9,9\n")
    assert plain.image == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,x,y\na,1\n", "line 2: expected numbers"),
        ("name,y,x\na,1\n", "line 2: expected numbers"),
        ('name,x,y\na,1,2\na,"1,5",2\n', "line 3: expected numbers"),
        ("name,x,y,ignore\na,1,2,perhaps\n", "line 2: ignore: expected true or false"),
        ("name,x,y,width\na,1,2,640\n", "line 2: expected width and height"),
        (
            "name,x,y,area_m2\na,0,0,5\na,9,0,6\n",
            "line 3: .*: expected it in its first row, the same or empty in the others\\.$",
        ),
    ],
)
def test_the_row_of_a_mistake_is_told(tmp_path, text, why):
    with pytest.raises(UsageError, match=why):
        read_csv(tmp_path, text)


def test_a_file_of_regions_has_sixteen_mebibytes_at_most(tmp_path):
    (tmp_path / "r.csv").write_bytes(b"name,x,y\n".ljust(2**24 + 1))
    with pytest.raises(UsageError, match=r"r\.csv.*16"):
        read_regions(tmp_path / "r.csv")
