from pathlib import Path

import numpy as np
import pytest
from crowd_files import coco, folder_of, shape, train
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam_mprompt.data.formats.annotation import Annotation, Entry
from sam_mprompt.data.formats.entries import collect
from sam_mprompt.data.formats.frames import fitted, in_one_place, in_rows_and_columns, in_shares
from sam_mprompt.data.formats.read import list_splits
from sam_mprompt.errors import UsageError


def stated(width: int, height: int) -> dict[str, dict[str, object]]:
    """A head at (4, 6) of an image that the file says to be of this size, in every format that can say so."""
    return {
        "coco": {"annotations.json": coco([("head", [3, 5, 2, 2])], size=(width, height))},
        "labelme": {"a.json": {"shapes": [shape("head", [4, 6])], "imageWidth": width, "imageHeight": height}},
        "json": {"a.json": {"points": [[4, 6]], "width": width, "height": height}},
        "jsonl": {"annotations.jsonl": f'{{"image": "a", "x": 4, "y": 6, "width": {width}, "height": {height}}}'},
        "csv": {"annotations.csv": f"image,width,height,x,y\na.jpg,{width},{height},4,6\n"},
        "csv-corners": {
            "annotations.csv": f"filename,width,height,xmin,ymin,xmax,ymax\na.jpg,{width},{height},3,5,5,7\n"
        },
    }


@pytest.mark.parametrize("form", stated(1, 1))
@pytest.mark.parametrize(("size", "place"), [((20, 15), [8, 12]), ((80, 60), [2, 3]), ((40, 30), [4, 6])])
def test_heads_of_the_same_picture_at_another_size_are_scaled_and_told(tmp_path, form, size, place):
    split = train(folder_of(tmp_path, stated(*size)[form]))
    assert split.samples[0].points.tolist() == [place]
    assert split.problems.rescaled[:1] == ([] if size == (40, 30) else [tmp_path / "a.jpg"])


@pytest.mark.parametrize("form", stated(1, 1))
def test_swapped_sides_are_left_out_as_turned(tmp_path, form):
    folder_of(tmp_path, stated(30, 40)[form])
    with pytest.raises(UsageError, match="annotated as 30x40, the image is 40x30: turned after it was annotated"):
        train(tmp_path)


@pytest.mark.parametrize("form", stated(1, 1))
def test_the_frame_of_another_picture_is_left_out(tmp_path, form):
    with pytest.raises(UsageError, match="annotated as 90x30, the image is 40x30: cropped or another image"):
        train(folder_of(tmp_path, stated(90, 30)[form]))


def test_an_exif_turned_image_is_compared_as_it_is_displayed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    folder_of(tmp_path, {"annotations.json": coco([("head", [3, 5, 2, 2])], size=(30, 40))}, [])
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (40, 30)).save(tmp_path / name, exif=exif)
    assert train(tmp_path).samples[0].points.tolist() == [[4, 6]]
    folder_of(tmp_path, {"annotations.json": coco([("head", [3, 5, 2, 2])], size=(40, 30))}, [])
    with pytest.raises(UsageError, match="annotated in another frame, left out: 2"):
        train(tmp_path)


def read_problems(root: Path) -> list[str]:
    _, splits, _ = list_splits(root, val_fraction=0)
    return collect(splits["train"])[1].lines()


SHARES = {
    "txt": {"a.txt": "0.1 0.25\n0.5 0.75\n"},
    "csv": {"annotations.csv": "a.jpg,0.1,0.25\na.jpg,0.5,0.75\n"},
    "jsonl": {"annotations.jsonl": '{"image": "a", "points": [[0.1, 0.25], [0.5, 1]]}'},
    "labelme": {"a.json": {"shapes": [shape("head", [0.1, 0.2], [0.3, 0.4], kind="rectangle")]}},
    "coco": {"annotations.json": coco([("head", [0.1, 0.2, 0.05, 0.1])])},
}


@pytest.mark.parametrize("form", SHARES)
def test_coordinates_that_all_lie_in_0_to_1_are_shares_and_left_out_in_every_format(tmp_path, form):
    folder_of(tmp_path, SHARES[form] | ({} if form != "txt" else {"b.txt": ""}))
    line = "images whose points lie in 0..1, shares instead of pixels, left out: 1 (a.jpg)"
    assert line in read_problems(tmp_path)


def test_a_head_on_the_first_whole_pixels_is_no_share(tmp_path):
    assert train(folder_of(tmp_path, {"a.txt": "1 1\n0 1\n"}, ["a.jpg"])).samples[0].count == 2


def test_one_head_beyond_the_first_pixel_makes_all_of_them_pixels():
    assert in_shares(Annotation(np.array([[0.5, 0.5]])), (30, 40))
    assert not in_shares(Annotation(np.array([[0.5, 0.5], [0.5, 7.0]])), (30, 40))
    assert not in_shares(Annotation(np.empty((0, 2))), (30, 40))


@given(
    width=st.integers(50, 4000),
    height=st.integers(50, 4000),
    scale=st.floats(0.2, 5),
    x=st.floats(0, 1, exclude_max=True),
    y=st.floats(0, 1, exclude_max=True),
)
def test_a_resized_picture_keeps_each_head_at_its_share_of_the_sides(width, height, scale, x, y):
    size = max(1, round(height * scale)), max(1, round(width * scale))
    boxes = np.array([[x * width, y * height, width, height]])
    placed = fitted(Annotation(np.array([[x * width, y * height]]), boxes, frame=(height, width)), size)
    assert isinstance(placed, Annotation)
    np.testing.assert_allclose(placed.points[0], [x * size[1], y * size[0]], atol=1e-9 * max(size))
    np.testing.assert_allclose(placed.boxes[0, 2:], size[::-1])


SWAPPED = np.array([[2.0, 35], [28, 3], [10, 20], [15, 39]])
"""Heads of a picture of 40x30 as (y, x): two of them lie outside as (x, y)."""


def test_points_that_fit_as_y_and_x_alone_are_told_and_left_out_never_swapped(tmp_path):
    text = "\n".join(f"{a:g} {b:g}" for a, b in SWAPPED.tolist())
    split = train(folder_of(tmp_path, {"a.txt": text, "b.txt": "1 1\n"}))
    assert [sample.image.name for sample in split.samples] == ["b.jpg"]
    assert split.problems.serious
    reason = "as (x, y) 2 of 4 lie outside 40x30, as (y, x) none does"
    assert split.problems.swapped == {tmp_path / "a.jpg": reason}
    assert any("fit better as (y, x)" in line and reason in line for line in split.problems.lines())


@pytest.mark.parametrize(
    "places",
    [
        [[2, 5], [28, 3], [39, 29]],  # inside
        [[2, 30.2], [28, 3]],  # a slip at the border
        [[2, 35], [38, 3]],  # outside as (y, x), too
        [[2, 35], *([[5, number] for number in range(25)])],  # one stray of many
        [[np.nan, 35]],
        [],
    ],
)
def test_other_points_outside_are_no_sign_of_rows_before_columns(places):
    annotation = Annotation(np.array(places, float).reshape(-1, 2))
    assert in_rows_and_columns(annotation, (30, 40)) == ""


def test_a_published_benchmark_keeps_its_points_and_is_told(tmp_path):
    folder_of(tmp_path, {}, ["a.jpg"])
    samples, problems = collect([Entry(tmp_path / "a.jpg", lambda: Annotation(SWAPPED), official=True)])
    assert len(samples[0].points) == 2
    assert list(problems.swapped) == [tmp_path / "a.jpg"]


def test_heads_that_all_lie_within_a_pixel_are_in_another_unit():
    degrees = np.array([[13.4001, 52.5201], [13.4004, 52.5203], [13.4007, 52.5202]])
    assert "all 3 heads lie within a pixel: in another unit, such as degrees" in in_one_place(
        Annotation(degrees), (600, 800)
    )
    assert in_one_place(Annotation(degrees[:2]), (600, 800)) == ""
    assert in_one_place(Annotation(degrees * 10_000), (600, 800)) == ""
    assert in_one_place(Annotation(np.repeat(degrees[:1], 3, axis=0)), (600, 800)) == ""
