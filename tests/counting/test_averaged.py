import numpy as np
import pytest
from pooling_backend import AS_IS, PoolingBackend, known_density, noise

from sam_mprompt.counting.averaged import Averaged, Mirrored
from sam_mprompt.counting.predict import predict_density
from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry

GEOMETRY = Geometry(tile=64, overlap=16, **AS_IS)


class Sided(PoolingBackend):
    """Sees nothing in the right half of what it is given."""

    def density(self, tiles):
        found = super().density(tiles)
        found[..., found.shape[-1] // 2 :] = 0
        return found


class Times(PoolingBackend):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def density(self, tiles):
        return super().density(tiles) * np.float32(self.factor)


def test_a_network_that_treats_both_sides_alike_counts_as_without_a_mirror():
    image = noise(50, 90)
    density = predict_density(Mirrored(PoolingBackend()), image, GEOMETRY).density
    np.testing.assert_allclose(density, known_density(image, 4), rtol=1e-5)


def test_each_half_is_seen_as_it_is_or_in_the_mirror_and_lies_where_it_was():
    tiles = np.random.default_rng(0).normal(size=(2, 3, 16, 32)).astype(np.float32)
    whole = PoolingBackend().density(tiles)
    np.testing.assert_allclose(Mirrored(Sided()).density(tiles), whole / 2, rtol=1e-6)


def test_networks_count_their_mean_on_tiles_that_suit_all():
    backends = [Times(1, size_divisor=16), Times(2, size_divisor=12), Times(6, size_divisor=16)]
    together, image = Averaged(backends), noise(50, 90)
    assert together.size_divisor == 48
    density = predict_density(together, image, Geometry(tile=96, overlap=16, **AS_IS)).density
    np.testing.assert_allclose(density, 3 * known_density(image, 4), rtol=1e-5)


def test_networks_that_see_images_differently_are_refused():
    with pytest.raises(UsageError, match="expected stride 4 as of the first, got 8"):
        Averaged([PoolingBackend(), PoolingBackend(stride=8)])
    other = PoolingBackend()
    other.mean = (0.0, 0.0, 0.0)
    with pytest.raises(UsageError, match=r"expected mean .* got"):
        Averaged([PoolingBackend(), other])
    with pytest.raises(UsageError, match="at least one network"):
        Averaged([])
