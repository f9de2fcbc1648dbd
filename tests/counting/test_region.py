from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from sam_mprompt.counting.region import Region, name_in
from sam_mprompt.errors import UsageError

TRIANGLE = [(0, 0), (9, 0), (9, 9)]


def circle(corners, at):
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1) * 4 + at


def test_ten_thousand_corners_are_allowed_and_one_more_is_not():
    circles = tuple((circle(100, (10 * i, 10)),) for i in range(100))
    assert len(Region("a", circles).corners()) == 10_000
    with pytest.raises(UsageError, match="at most 10000 corners, got 10001"):
        Region("a", (*circles[:-1], (circle(101, (990, 10)),)))


@pytest.mark.parametrize("size", [0.25, 1, 40])
def test_an_area_may_be_less_than_a_square_metre(size):
    assert Region.around("a", TRIANGLE, area_m2=size).area_m2 == size


def test_a_region_may_be_as_small_as_a_pixel():
    assert len(Region.around("a", [(3, 3), (4, 3), (4, 4), (3, 4)]).corners()) == 4
    with pytest.raises(UsageError, match=r"covers 0\.999 square pixels"):
        Region.around("a", [(3, 3), (4, 3), (4, 3.999), (3, 3.999)])


def test_corners_become_floats_that_cannot_be_changed():
    region = Region("a", ((TRIANGLE,),))
    assert region.corners().dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        region.polygons[0][0][0] = 5


@pytest.mark.parametrize(
    "corners",
    [
        [("a", "b"), ("c", "d"), ("e", "f")],
        [(0, 0, 0), (9, 0, 0), (9, 9, 0)],
        [(0, 0), (9, 0), (10**9 + 1, 9)],
        [0, 9, 9],
        None,
    ],
)
def test_corners_that_are_not_two_numbers_of_a_size_that_occurs_are_refused(corners):
    with pytest.raises(UsageError, match=r"^Region 'a': expected corners that are two numbers \(x, y\) each, got "):
        Region("a", ((corners,),))


def test_a_corner_may_lie_a_thousand_million_pixels_away():
    assert Region.around("a", [(0, 0), (9, 0), (10**9, 9)]).corners().max() == 10**9


def test_an_outline_that_crosses_itself_is_told_how_it_should_be():
    with pytest.raises(UsageError, match=r"crosses itself .*: expected its corners in order, all the way round\.$"):
        Region.around("a", [(0, 0), (9, 9), (9, 0), (0, 9)])


def test_a_region_of_one_image_belongs_to_no_other_and_not_to_one_without_a_path():
    own, everyones = Region.around("a", TRIANGLE, image="cam1\\b.jpg"), Region.around("a", TRIANGLE)
    paths = (Path("cam1/b.jpg"), Path("photos/cam1/b.jpg"), Path("cam2/b.jpg"), None)
    assert [own.belongs_to(path) for path in paths] == [True, True, False, False]
    assert all(everyones.belongs_to(path) for path in paths)
    assert (own.image_name, everyones.image_name) == ("b.jpg", "")


def test_the_last_part_of_a_path_is_a_name_whichever_system_wrote_it():
    assert [name_in(path) for path in ("a/b.jpg", "C:\\a\\b.jpg", Path("a/b.jpg"), "b.jpg")] == ["b.jpg"] * 4
    assert name_in("") == ""
    assert PurePosixPath(name_in("cam/cafe\u0301.jpg")).stem == "caf\u00e9"
