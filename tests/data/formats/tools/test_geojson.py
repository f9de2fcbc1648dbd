import json

import pytest
from crowd_files import HEADS, folder_of, points, train

from sam_mprompt.data.formats.tools.geojson import GEOJSON, read_geojson, read_geojson_of_many
from sam_mprompt.errors import UsageError


def feature(kind: str, coordinates: object, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


def collection(*features: object, **more: object) -> dict[str, object]:
    return {"type": "FeatureCollection", **more, "features": list(features)}


# As QGIS saves a layer that was drawn on an image without a place on the map.
QGIS = """{
"type": "FeatureCollection",
"name": "heads",
"crs": { "type": "name", "properties": { "name": "urn:ogc:def:crs:OGC:1.3:CRS84" } },
"features": [
{ "type": "Feature", "properties": { "id": 1 }, "geometry": { "type": "Point", "coordinates": [ 3.5, -4.0 ] } },
{ "type": "Feature", "properties": { "id": 2 },
  "geometry": { "type": "MultiPoint", "coordinates": [ [ 10.0, -2.0 ] ] } },
{ "type": "Feature", "properties": { "id": null }, "geometry": null }
]
}
"""


def test_what_qgis_saves_is_turned_downwards_and_told(tmp_path):
    folder_of(tmp_path, {"a.geojson": QGIS, "b.geojson": collection()})
    split = train(tmp_path)
    assert [sample.points.tolist() for sample in split.samples] == [HEADS, []]
    assert "y is negative" in split.problems.readings[tmp_path / "a.jpg"]
    assert not split.problems.serious


def test_a_head_above_the_image_does_not_keep_the_others_from_being_turned(tmp_path):
    content = collection(*(feature("Point", [5, y]) for y in (-3, -4, 2)))
    folder_of(tmp_path, {"a.geojson": content, "b.geojson": collection()})
    split = train(tmp_path)
    assert split.samples[0].points.tolist() == [[5, 3], [5, 4]]
    assert split.problems.points_outside == {tmp_path / "a.jpg": 1}


def test_y_downwards_stays_and_qupaths_class_is_the_label(tmp_path):
    content = collection(
        feature("MultiPoint", HEADS, objectType="annotation", classification={"name": "head", "color": [1, 2, 3]}),
        feature("Polygon", [[[0, 0], [5, 0], [5, 5], [0, 0]]], classification={"name": "tree"}),
    )
    split = train(folder_of(tmp_path, {"a.geojson": content, "b.geojson": collection()}))
    assert split.samples[0].points.tolist() == HEADS
    assert split.problems.other_labels == {tmp_path / "a.jpg": "tree"}
    assert not split.problems.readings


def test_features_that_name_their_image_annotate_many(tmp_path):
    content = collection(feature("Point", [3.5, -4], Image="a.jpg"), feature("Point", [1, -1, 9], Image="b.jpg"))
    assert points(folder_of(tmp_path, {"heads.geojson": content})) == {"a.jpg": [[3.5, 4]], "b.jpg": [[1, 1]]}


def test_a_feature_without_the_image_that_others_name_is_refused(tmp_path):
    path = tmp_path / "heads.geojson"
    path.write_text(json.dumps(collection(feature("Point", [1, 1], image="a.jpg"), feature("Point", [1, 1]))))
    assert GEOJSON.kind_of(path) == "many"
    with pytest.raises(UsageError, match=r"features\[1\]: expected the name of its image"):
        read_geojson_of_many(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "Topology"}, "expected GeoJSON"),
        ([1], "expected GeoJSON"),
        (collection(3), r"features\[0\]: expected a Feature"),
        ({"type": "FeatureCollection", "features": 3}, "expected GeoJSON"),
    ],
)
def test_what_is_no_geojson_is_refused_by_feature(tmp_path, content, message):
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        read_geojson(path)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (
            {"type": "LineString", "coordinates": [[1, 1], [2, 2]]},
            "MultiPoint; received 'LineString'",
        ),
        ({"type": "Point", "coordinates": ["1", 2]}, "expected rows of 2 numbers"),
        ({"type": "Point", "coordinates": None}, "expected rows of 2 numbers"),
        ({"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection"}]}, "no collection of geometries"),
        (3, "expected a Point"),
    ],
)
def test_a_geometry_that_is_no_head_matters_where_its_label_counts(tmp_path, geometry, message):
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(collection({"type": "Feature", "geometry": geometry})))
    with pytest.raises(UsageError, match=message):
        read_geojson(path).heads()


def test_other_json_is_not_taken_for_it(tmp_path):
    for content in ({"points": [[1, 1]]}, {"type": "instances", "images": [], "features": []}):
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        assert GEOJSON.kind_of(path) is None


def test_a_file_called_as_an_image_may_name_it_and_no_other(tmp_path):
    content = collection(feature("Point", [3.5, 4], image="a.jpg"))
    folder_of(tmp_path, {"a.geojson": content, "b.geojson": collection()})
    assert points(tmp_path) == {"a.jpg": [[3.5, 4]], "b.jpg": []}
    folder_of(tmp_path, {"b.geojson": content})
    with pytest.raises(
        UsageError, match=r"features\[0\]: expected the image that the file is called after; found 'a.jpg'"
    ):
        read_geojson(tmp_path / "b.geojson")
