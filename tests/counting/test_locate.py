import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sam_mprompt.counting.locate import locate_heads
from sam_mprompt.targets import density_map


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_isolated_heads_are_found_within_a_quarter_of_a_cell(stride):
    heads = np.array([[y, x] for y in range(40, 400, 90) for x in range(45, 400, 95)], np.float32)
    heads += np.random.default_rng(0).uniform(-9, 9, heads.shape).astype(np.float32)
    found = locate_heads(density_map(heads, (420, 440), stride=stride)) * stride
    assert len(found) == len(heads)
    assert cKDTree(found).query(heads)[0].max() < 0.25 * stride + 0.5


def test_a_dense_crowd_gives_as_many_locations_as_heads():
    rng = np.random.default_rng(1)
    heads = rng.uniform(0, 256, (600, 2)).astype(np.float32)
    found = locate_heads(density_map(heads, (256, 256), stride=4)) * 4
    assert len(found) == 600
    assert np.mean(cKDTree(heads).query(found)[0]) < 3  # chance would give 5.2


def test_several_heads_in_one_cell_are_several_locations():
    density = np.zeros((5, 5), np.float32)
    density[2, 3] = 3
    np.testing.assert_allclose(locate_heads(density), [[3.5, 2.5]] * 3)


def test_the_threshold_leaves_out_thin_background():
    density = np.full((64, 64), 1e-3, np.float32)
    density[10, 20] = 0.9
    density[40, 50] = 0.8
    assert len(locate_heads(density)) == 6
    certain = locate_heads(density, threshold=0.5)
    np.testing.assert_allclose(certain, [[20.5, 10.5], [50.5, 40.5]], atol=0.5)


def test_an_empty_street_has_no_location():
    assert locate_heads(np.zeros((10, 12), np.float32)).shape == (0, 2)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 3), st.integers(0, 2**32 - 1))
def test_there_are_as_many_locations_as_the_density_sums_to_and_all_inside(height, width, peak, seed):
    density = (np.random.default_rng(seed).random((height, width)) * peak).astype(np.float32)
    found = locate_heads(density)
    assert len(found) == round(float(density.sum(dtype=np.float64)))
    assert ((found >= 0) & (found <= (width, height))).all()


def test_the_density_is_left_as_it_was():
    density = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    before = density.copy()
    locate_heads(density)
    np.testing.assert_array_equal(density, before)


def test_locations_are_single_precision_and_their_number_is_of_a_sum_in_double():
    density = np.zeros((1, 9), np.float32)
    density[0, 2], density[0, 3] = 0.5, 2**-26  # together above a half, which single precision cannot tell
    found = locate_heads(density)
    assert found.shape == (1, 2)
    assert found.dtype == np.float32


def test_a_head_that_gathers_just_the_threshold_is_kept():
    density = np.zeros((5, 5), np.float32)
    density[2, 3] = 1
    assert len(locate_heads(density, threshold=1.0)) == 1


@pytest.mark.parametrize("offset", [(0, 6), (6, 0), (4, -4), (-6, 1), (0, 7), (7, 0), (5, 5), (-5, 5), (6, -3)])
def test_a_head_gathers_its_mass_from_cells_up_to_six_away_in_any_direction(offset):
    density = np.zeros((31, 31), np.float32)
    density[15, 15], density[15 + offset[0], 15 + offset[1]] = 0.6, 0.4
    within = round(float(np.hypot(*offset))) <= 6
    assert len(locate_heads(density, threshold=0.99)) == within
    if within:
        expected = [15.5 + 0.4 * offset[1], 15.5 + 0.4 * offset[0]]
        np.testing.assert_allclose(locate_heads(density), [expected], atol=1e-5)


def test_a_head_takes_the_nearest_mass_first_and_leaves_the_rest_where_it_is():
    density = np.zeros((31, 31), np.float32)
    density[15, 15], density[15, 17], density[15, 20] = 0.6, 0.5, 0.9
    found = locate_heads(density)
    # 0.6 and 0.4 of the neighbour two cells away make one head; what is left of it goes to the last one.
    np.testing.assert_allclose(sorted(found[:, 0].tolist()), [15.5 + 0.4 * 2, 20.5 - 0.1 * 3], atol=1e-5)
