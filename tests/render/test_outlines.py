import numpy as np
import pytest

from sam_mprompt.render import Outline, ascii_text, draw_regions
from sam_mprompt.render.text import caption_size

SIZE = (240, 320)


def ground(value):
    return np.full((*SIZE, 3), value, np.uint8)


def rectangle(left, top, right, bottom):
    return [np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)]


def luminance(picture):
    return picture.astype(float) @ [0.299, 0.587, 0.114]


def changed(picture, value):
    return (picture != value).any(axis=2)


BOX = rectangle(100, 80, 220, 200)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_outlines_and_names_are_seen_on_dark_and_bright_ground(value):
    picture = luminance(draw_regions(ground(value), [Outline([BOX], ["Platform", "12.3"])], "12.3 heads"))
    across = picture[90, 90:110]  # over the left edge, above the name
    assert across.max() - across.min() > 100
    name = picture[120:160, 120:200]
    assert name.max() > 160
    assert np.percentile(name, 20) < 80


def test_a_hatched_zone_is_darker_and_not_uniform_and_its_hole_stays():
    hole = rectangle(140, 120, 180, 160)[0]
    picture = draw_regions(ground(200), [Outline([[BOX[0], hole]], ignored=True)], "0.0 heads")
    inside = luminance(picture[90:110, 110:210])
    assert inside.mean() < 130
    assert np.ptp(inside) > 30
    assert (picture[130:150, 150:170] == 200).all()
    assert (picture[210:, 250:] == 200).all()


def test_labels_do_not_lie_on_each_other_nor_on_the_caption():
    place = [rectangle(0, 0, 80, 40)]  # of both, below the caption

    def drawn(*named):
        lines = [["first", "10.0"] if name else [] for name in named]
        return draw_regions(ground(200), [Outline(place, found) for found in lines], "1 head")

    neither, one, both = drawn(False, False), drawn(True, False), drawn(True, True)
    first, second = (one != neither).any(axis=2), (both != one).any(axis=2)
    assert second.sum() > 0.8 * first.sum() > 400
    assert not (first & second).any()
    height, width = caption_size(SIZE, "1 head")
    assert not (first | second)[:height, :width].any()


def test_a_label_stands_where_its_region_is_widest():
    corners = [(10, 110), (200, 110), (200, 60), (310, 60), (310, 180), (200, 180), (200, 130), (10, 130)]
    shape = [np.array(corners, float)]
    plain, named = (draw_regions(ground(80), [Outline([shape], lines)], "") for lines in ((), ("a", "1")))
    rows, columns = np.nonzero((plain != named).any(axis=2))
    assert 200 < columns.mean() < 310
    assert 90 < rows.mean() < 150


def test_what_lies_far_outside_is_cut_and_nothing_fails():
    far = [np.array([(-1e8, 100), (1e8, 100), (1e8, 1e8), (-1e8, 1e8)])]
    picture = draw_regions(ground(80), [Outline([far], ["sky"]), Outline([far], ignored=True)], "1 head")
    assert changed(picture[98:102], 80).all(axis=1).any()
    outside = [Outline([rectangle(900, 900, 950, 950)], ["away"])]
    assert draw_regions(ground(80), outside, "1 head").shape == (*SIZE, 3)


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (12, 300), (300, 12)])
def test_pictures_too_small_for_letters_have_outlines_only(size):
    image = np.full((*size, 3), 120, np.uint8)
    whole = rectangle(0, 0, size[1], size[0])
    assert (
        draw_regions(image, [Outline([whole], ["name", "1"]), Outline([whole], ignored=True)], "1").shape == image.shape
    )


def test_the_image_that_is_given_stays():
    image = ground(80)
    draw_regions(image, [Outline([BOX], ["a"]), Outline([BOX], ignored=True)], "1 head")
    assert (image == 80).all()


def test_names_are_written_in_the_letters_that_pictures_have():
    assert ascii_text("Straße Süd, Łódź, Ærø, 3 m²") == "Strasse Sud, Lodz, AEro, 3 m2"
    assert ascii_text("中 1\n") == "? 1?"
    assert draw_regions(ground(80), [Outline([BOX], ["\u0301", ""])], "").shape == (*SIZE, 3)
