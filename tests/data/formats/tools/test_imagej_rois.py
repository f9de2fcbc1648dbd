import io
import struct
import zipfile

import numpy as np
import pytest
import roifile
from crowd_files import HEADS, folder_of, points, train
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.data import packages
from sam_mprompt.data.formats.tools.imagej_rois import IMAGEJ_ROIS, read_rois
from sam_mprompt.errors import UsageError


def point_roi(*places: list[float], **more: object) -> bytes:
    """A point or multi-point as ImageJ's tools make it."""
    roi = roifile.ImagejRoi.frompoints(np.array(places), name="0001-0004-0003")
    roi.roitype = roifile.ROI_TYPE.POINT
    roi.options &= roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    for name, value in more.items():
        setattr(roi, name, value)
    return roi.tobytes()


def shape_roi(kind: roifile.ROI_TYPE, top: int, left: int, bottom: int, right: int) -> bytes:
    return roifile.ImagejRoi(roitype=kind, top=top, left=left, bottom=bottom, right=right).tobytes()


def zipped(*regions: bytes, name: str = "{}.roi") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, region in enumerate(regions):
            dated = zipfile.ZipInfo(
                name.format(number)
            )  # of 1980: a test's name, which shows these bytes, has no clock
            archive.writestr(dated, region, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def test_points_of_a_region_and_of_a_set_are_heads_sub_pixels_included(tmp_path):
    folder_of(tmp_path, {"a.roi": point_roi(*HEADS), "b.zip": zipped(point_roi([7, 8]), point_roi([9, 9]))})
    assert points(tmp_path) == {"a.jpg": HEADS, "b.jpg": [[7, 8], [9, 9]]}


def test_rectangles_and_ovals_are_boxes_around_heads_and_other_shapes_are_told(tmp_path):
    oval, rectangle = (shape_roi(kind, 2, 4, 6, 10) for kind in (roifile.ROI_TYPE.OVAL, roifile.ROI_TYPE.RECT))
    folder_of(tmp_path, {"a.zip": zipped(oval), "b.zip": zipped(rectangle)})
    for sample in train(tmp_path).samples:
        assert sample.points.tolist() == [[7, 4]]
        assert sample.boxes.tolist() == [[4, 2, 10, 6]]
    freehand = roifile.ImagejRoi.frompoints(np.array(HEADS)).tobytes()
    folder_of(tmp_path, {"b.zip": zipped(freehand)})
    with pytest.raises(UsageError, match="expected points, a rectangle or an oval; received a freehand"):
        train(tmp_path)


def test_groups_and_counters_are_labels(tmp_path):
    counted = point_roi(*HEADS, counters=np.array([0, 2], np.uint8), counter_positions=np.zeros(2, np.uint32))
    folder_of(tmp_path, {"a.roi": counted, "b.roi": point_roi([1, 1], group=3)})
    with pytest.raises(UsageError, match=r"several labels \(counter 0, counter 2, group 3\)"):
        train(tmp_path)
    assert points(tmp_path, label="counter 2") == {"a.jpg": [HEADS[1]], "b.jpg": []}


def test_a_set_of_a_stack_is_counted_along_the_images(tmp_path):
    slices = point_roi(*HEADS, counters=np.zeros(2, np.uint8), counter_positions=np.array([2, 1], np.uint32))
    folder_of(tmp_path, {"RoiSet.zip": zipped(slices, point_roi([1, 1], position=2))})
    assert points(tmp_path) == {"a.jpg": [HEADS[1]], "b.jpg": [HEADS[0], [1, 1]]}


def test_a_set_that_names_no_slice_is_that_of_the_only_image_and_of_no_other(tmp_path):
    folder_of(tmp_path, {"RoiSet.zip": zipped(point_roi(*HEADS))}, ["a.jpg"])
    assert points(tmp_path) == {"a.jpg": HEADS}
    folder_of(tmp_path, {})
    with pytest.raises(UsageError, match="says no image by name nor number; there are 2 images"):
        train(tmp_path)


@pytest.mark.parametrize(
    "name", ["{}_RoiSet.zip", "{}-roiset.zip", "RoiSet_{}.zip", "{}.jpg_RoiSet.ZIP", "{} RoiSet.zip"]
)
def test_a_set_is_that_of_the_image_that_stands_beside_the_word(tmp_path, name):
    files = {name.format("a"): zipped(point_roi(*HEADS)), name.format("b"): zipped(point_roi([1, 1]))}
    assert points(folder_of(tmp_path, files)) == {"a.jpg": HEADS, "b.jpg": [[1, 1]]}


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(bytes((1 << 26) + 1)))
    with pytest.raises(UsageError, match=r"it unpacks to 67108865 bytes; expected at most 67108864"):
        read_rois(path)


def test_points_of_thousands_of_slices_are_refused(tmp_path):
    path = tmp_path / "a.roi"
    number = 2000
    places = np.random.default_rng(0).integers(0, 90, (number, 2))
    path.write_bytes(
        point_roi(*places, counters=np.zeros(number, np.uint8), counter_positions=np.arange(number, dtype=np.uint32))
    )
    with pytest.raises(UsageError, match="its points are of 2000 slices and counters; expected at most 1000"):
        read_rois(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.roi", b"Iout", "not an intact region"),
        ("a.roi", b"Iou", "not a region of ImageJ"),
        ("a.roi", point_roi(*HEADS)[:70], "not an intact region"),
        ("a.zip", zipped(point_roi([1, 1]))[:-30], "not an intact RoiSet.zip"),
        ("a.zip", zipped(b"x" * 100), r"'0.roi': not a region of ImageJ"),
    ],
)
def test_what_is_damaged_is_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as refused:
        read_rois(path)
    assert "\n" not in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 191), st.binary(min_size=1, max_size=4))
def test_any_damage_to_a_region_is_a_refusal_or_points(tmp_path_factory, place, damage):
    content = bytearray(point_roi(*HEADS, group=1))
    content[place : place + len(damage)] = damage
    path = tmp_path_factory.mktemp("roi") / "a.roi"
    path.write_bytes(content)
    try:
        found = read_rois(path)
    except UsageError:
        return
    assert all(isinstance(mark, UsageError) or mark.points.shape[1] == 2 for mark in found.by_label.values())


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(packages, "import_module", missing)
    path = tmp_path / "a.roi"
    path.write_bytes(struct.pack("4s", b"Iout"))
    with pytest.raises(UsageError, match="needs the package 'roifile', which the extra 'imagej' brings") as refused:
        read_rois(path)
    assert (refused.value.about, refused.value.facts) == ("extra", {"extra": "imagej"})


def test_an_archive_of_other_files_is_not_taken_for_it(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(b"text", name="{}.txt"))
    assert IMAGEJ_ROIS.kind_of(path) is None
    path.write_bytes(b"no archive")
    assert IMAGEJ_ROIS.kind_of(path) is None
