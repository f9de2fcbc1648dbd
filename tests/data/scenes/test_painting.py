import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.data.scenes.painting import fractal, pattern, relief
from sam_mprompt.data.scenes.people import FIGURES, TILTS, figure
from sam_mprompt.data.scenes.stamps import PURE, UNIT, Easel, Surface, paste

GREY = np.full((4, 3), 128, np.float32)
SQUARE = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)


def plate():
    easel = Easel(-1.5, -1.5, 1.5, 1.5)
    easel.part([SQUARE], Surface(PURE[0], relief=0, grain=0))
    return easel.stamp(0.0)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    cell=st.floats(0.5, 200),
    finest=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 9),
)
def test_noise_has_the_asked_size_and_stays_in_range(size, cell, finest, seed):
    field = fractal(np.random.default_rng(seed), size, cell=cell, finest=finest)
    assert field.shape == size
    assert np.abs(field).max() <= 2


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(st.integers(1, 60), st.integers(1, 60)), scale=st.floats(2, 100), seed=st.integers(0, 99))
def test_patterns_fill_their_size_with_values_from_0_to_1(size, scale, seed):
    drawn = pattern(np.random.default_rng(seed), size, scale, built=bool(seed % 2))
    assert drawn.shape == size
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_round_things_are_lit_from_above():
    drawn = np.zeros((60, 60), np.uint8)
    drawn[10:50, 10:50] = 255
    light = relief(drawn, 1.0)
    assert light[12:20, 20:40].mean() > light[40:48, 20:40].mean() + 0.1
    np.testing.assert_array_equal(relief(drawn, 0.0), 1)


@pytest.mark.parametrize("unit", [3.0, 10.0, 24.0, 48.0, 70.0])
def test_a_stamp_is_pasted_where_and_as_large_as_asked(unit):
    image, labels = np.zeros((200, 240, 3), np.uint8), np.zeros((200, 240), np.uint16)
    paste(image, labels, plate(), (120, 100), unit, GREY)
    rows, columns = np.nonzero(image[..., 0] > 64)
    assert abs(np.ptp(rows) + 1 - 2 * unit) <= 2
    assert abs(np.ptp(columns) + 1 - 2 * unit) <= 2
    assert abs(rows.mean() + 0.5 - 100) <= 1
    assert abs(columns.mean() + 0.5 - 120) <= 1
    assert abs(int(image[100, 120, 0]) - 128) <= 2


def test_whatever_is_pasted_over_a_head_hides_it():
    image, labels = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), np.uint16)
    landed = paste(image, labels, figure(0, 0).stamp, (100, 40), 20.0, GREY, label=7)
    assert (labels == 7).sum() == landed.area
    paste(image, labels, plate(), (100, 40), 30.0, GREY)
    assert not labels.any()


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-60, 160), y=st.floats(-60, 160), unit=st.floats(3, 70), number=st.integers(0, 3), flip=st.booleans()
)
def test_a_head_s_box_and_area_are_those_of_the_whole_head(x, y, unit, number, flip):
    stamp = figure(1, number).stamp
    wide, far = np.zeros((500, 500, 3), np.uint8), np.zeros((500, 500), np.uint16)
    whole = paste(wide, far, stamp, (x + 200, y + 200), unit, GREY, label=1, flip=flip)
    small, near = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint16)
    cut = paste(small, near, stamp, (x, y), unit, GREY, label=1, flip=flip)
    assert whole.area == (far == 1).sum()
    if near.any():
        assert cut.area == pytest.approx(whole.area, rel=0.05, abs=4)  # cropped before it was resized: rounding differs
        assert cut.box == pytest.approx([side - 200 for side in whole.box], abs=1)
        assert np.count_nonzero(near) == pytest.approx(np.count_nonzero(far[200:300, 200:300]), rel=0.1, abs=2 * unit)


def test_every_figure_has_a_head_of_about_a_unit_around_its_origin():
    for tilt in range(len(TILTS)):
        for number in range(0, FIGURES, 5):
            stamp = figure(tilt, number).stamp
            rows, columns = np.nonzero(stamp.cover[0][..., 1] > 127)
            assert 0.9 <= (np.ptp(rows) + 1) / UNIT <= 1.9
            assert abs(rows.mean() / UNIT - stamp.anchor[1]) < 0.3
            assert abs(columns.mean() / UNIT - stamp.anchor[0]) < 0.3
            body = (stamp.cover[0][..., 0] > 127) & (stamp.cover[0][..., 1] < 127)
            assert body.sum() > 0.8 * len(rows)  # never a head without shoulders
