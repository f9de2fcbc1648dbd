"""An image at several sizes: the mean of its densities, on the cells of one of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pooling_backend import PoolingBackend, noise

from sam_mprompt.counting.by_adapter import Setup
from sam_mprompt.counting.predict import count_each, count_many
from sam_mprompt.counting.scales import ONCE, checked_scales, mean_density, scaled
from sam_mprompt.data.bounds import Reading
from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry, resized
from sam_mprompt.targets import grid_size

SIDES = st.tuples(st.integers(1, 60), st.integers(1, 60))


@given(SIDES, SIDES, st.sampled_from([1, 4, 8]))
def test_no_head_is_lost_or_doubled_on_the_cells_of_another_size(own, wanted, stride):
    density = np.random.default_rng(0).random(grid_size(own, stride), np.float32)
    moved = mean_density([(density, own)], wanted, stride=stride)
    assert moved.shape == grid_size(wanted, stride)
    assert moved.sum() == pytest.approx(density.sum(), rel=1e-5)


def test_heads_stay_where_they_are_in_the_picture():
    density = np.zeros((4, 6), np.float32)
    density[1, 2] = 3.0  # pixels 8 to 16 down and 16 to 24 across, of 32 x 48
    doubled = mean_density([(density, (32, 48))], (64, 96), stride=8)
    assert doubled[2:4, 4:6].tolist() == [[0.75, 0.75], [0.75, 0.75]]
    assert doubled.sum() == 3
    halved = mean_density([(density, (32, 48))], (16, 24), stride=8)
    assert halved.tolist() == [[0, 3, 0], [0, 0, 0]]


def test_a_cell_that_reaches_beyond_the_image_lies_within_it():
    density = np.array([[1.0, 2.0]], np.float32)  # 8 and 4 pixels wide
    assert mean_density([(density, (8, 12))], (8, 6), stride=8).tolist() == [[3.0]]
    assert mean_density([(density, (8, 12))], (8, 24), stride=8).tolist() == [[0.5, 0.5, 2.0]]


def test_the_mean_is_that_of_all_and_has_their_mean_count():
    one, other = np.full((2, 2), 1.0, np.float32), np.full((4, 4), 0.75, np.float32)
    mean = mean_density([(one, (16, 16)), (other, (32, 32))], (16, 16), stride=8)
    assert mean.dtype == np.float32
    assert mean.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_a_density_of_its_own_size_is_not_touched():
    density = np.random.default_rng(0).random((3, 5), np.float32)
    assert mean_density([(density, (24, 40))], (24, 40), stride=8) is density


@pytest.mark.parametrize("geometry", [Geometry(), Geometry(scale=0.5, min_side=32), Geometry(min_side=1, max_side=300)])
@pytest.mark.parametrize("scale", [0.5, 1.25, 2.0])
def test_a_scaled_geometry_brings_any_image_to_that_share_of_its_size(geometry, scale):
    for size in ((300, 500), (80, 60), (4000, 3000)):
        expected = tuple(side * scale for side in resized(size, geometry))
        assert resized(size, scaled(geometry, scale)) == pytest.approx(expected, abs=1.6)


@pytest.mark.parametrize(
    "scales", [[], [0], [0.2], [4.1], [1, 1], [float("nan")], ["a"], None, [1.0] * 9, "0.8,1", ["0.8", ""]]
)
def test_scales_that_are_none_are_refused(scales):
    with pytest.raises(UsageError, match=r"^scales: expected 1 to 8 different numbers from 0\.25 to 4"):
        checked_scales(scales)


def test_scales_are_any_few_numbers():
    assert checked_scales(np.array([0.25, 4.0])) == (0.25, 4.0)
    assert checked_scales((1,)) == ONCE


class Seen(PoolingBackend):
    """Keeps the sizes of the tiles that it is shown, and finds one head in each cell of them."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def density(self, tiles):
        self.shown.append(tiles.shape[2:])
        return np.ones((len(tiles), *(side // self.stride for side in tiles.shape[2:])), np.float32)


def test_each_size_is_shown_and_the_count_is_their_mean():
    backend, image = Seen(), noise(64, 96)
    setup = Setup(backend, Geometry(min_side=16), Reading(), scales=(0.5, 1.0, 2.0))
    (result,) = count_each([(image, setup)])
    assert backend.shown == [(32, 48), (64, 96), (128, 192)]
    cells = [(64 * s // backend.stride) * (96 * s // backend.stride) for s in (0.5, 1, 2)]
    assert result.count == pytest.approx(np.mean(cells))
    assert result.density.shape == grid_size((64, 96), backend.stride)


def test_sizes_of_one_image_and_of_several_share_calls_and_stay_their_own():
    backend = PoolingBackend()
    images = [noise(64, 96, seed=1), noise(48, 64, seed=2), noise(64, 96, seed=3)]
    setup = Setup(backend, Geometry(min_side=16), Reading(), scales=(0.5, 1.0))
    together = list(count_each([(image, setup) for image in images], batch_size=4))
    alone = [next(count_each([(image, setup)])) for image in images]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.density, other.density, rtol=1e-6)
    halves = Setup(backend, Geometry(min_side=16), Reading(), scales=(0.5,))
    whole = list(count_many(backend, images, Geometry(min_side=16)))
    half = [next(count_each([(image, halves)])) for image in images]
    for mean, a, b in zip(together, whole, half, strict=True):
        assert mean.count == pytest.approx((a.count + b.count) / 2, rel=1e-5)
