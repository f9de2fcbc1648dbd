import numpy as np
import pytest

from benchmarks.speed.evaluation import OnePerCell, crowd, fitted, measure, nine_crops


def test_nine_crops_leave_gaps_where_sides_are_no_multiples_of_four_cells():
    assert nine_crops(OnePerCell(), np.zeros((768, 1024, 3), np.uint8)) == 96 * 128
    assert nine_crops(OnePerCell(), np.zeros((750, 1000, 3), np.uint8)) < 0.99 * 750 * 1000 / 64


def test_a_crowd_is_of_the_size_that_is_asked_for():
    assert crowd(200, 300).shape == (200, 300, 3)


@pytest.mark.slow
def test_the_last_row_says_why_the_aim_is_missed():
    rows = measure(sizes=((448, 448, 448), (448, 448, 224)), rounds=1)
    assert [row.what for row in rows] == [
        f"counting a 448x448 image, sam-tiny, tiles of {tile} px" for tile in (448, 224)
    ]
    assert [row.note.count("Nine crops compute") for row in rows] == [0, 1]
    assert all("98.4 %" in row.note for row in rows)


@pytest.mark.slow
def test_smaller_tiles_are_measured_against_whole_ones():
    [row] = fitted(sizes=((600, 1000),), rounds=1)
    assert row.what == "counting a 1000x600 image, street, tiles as small as their number allows"
    assert row.against == "tiles of 896 px"
    assert row.ratio.median > 0
    assert float(row.note.split()[4]) < 5
