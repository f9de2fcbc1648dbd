import threading
from unittest.mock import Mock

import numpy as np
import pytest
from pooling_backend import AS_IS, PoolingBackend, known_density, noise

from sam_mprompt.counting import tiles
from sam_mprompt.counting.tiles import blend_tiles
from sam_mprompt.errors import RunError
from sam_mprompt.geometry import Geometry


def blended(images, backend, forward=None, **geometry):
    """Blend one map of each image."""
    batch_size = geometry.pop("batch_size", 1)
    forward = forward or (lambda tiles: backend.density(tiles)[:, None])
    return blend_tiles(images, forward, Geometry(**AS_IS, **geometry), backend, batch_size=batch_size)


def test_an_image_that_fits_the_tile_is_seen_whole():
    backend = PoolingBackend()
    blended([noise(100, 120)], backend, tile=128, overlap=16)
    assert [batch.shape for batch in backend.batches] == [(1, 3, 112, 128)]


def test_tiles_of_one_size_share_a_call_whatever_image_they_are_of():
    backend, images = PoolingBackend(), [noise(40, 60, seed) for seed in range(3)]
    maps = blended([*images, noise(90, 30)], backend, batch_size=4)
    assert [len(batch) for batch in backend.batches] == [3, 1]
    for image, [density] in zip(images, maps, strict=False):
        np.testing.assert_allclose(density, known_density(image, 4), rtol=1e-5)


def test_a_batch_holds_no_more_tiles_than_asked():
    backend = PoolingBackend()
    blended([noise(200, 200)], backend, tile=64, overlap=16, batch_size=3)
    assert [len(batch) for batch in backend.batches] == [3] * 5 + [1]  # four rows of four


def test_the_tiles_that_come_next_are_prepared_while_the_network_works(monkeypatch):
    started, names = [threading.Event() for _ in range(4)], []
    prepared, plain = iter(started), tiles.network_input

    def noted(*arguments):
        next(prepared).set()
        names.append(threading.current_thread().name)
        return plain(*arguments)

    coming = iter(started[1:])

    def forward(batch):
        following = next(coming, None)
        assert following is None or following.wait(30)
        return np.ones_like(batch[:, :1, ::4, ::4])

    monkeypatch.setattr(tiles, "network_input", noted)
    [[ones]] = blended([noise(112, 112)], PoolingBackend(), forward, tile=64, overlap=16)
    np.testing.assert_allclose(ones, 1, rtol=1e-6)
    assert all(event.is_set() for event in started)
    assert [name.startswith("sam-mprompt-tiles") for name in names] == [True] * 4


def test_what_the_network_refuses_is_raised_and_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(RunError, match="full"):
        blended([noise(112, 112)], PoolingBackend(), Mock(side_effect=RunError("full")), tile=64, overlap=16)
    assert threading.active_count() == before


def test_a_network_that_gives_fewer_maps_than_it_had_tiles_is_refused():
    def forward(batch):
        return np.ones_like(batch[1:, :1, ::4, ::4])

    with pytest.raises(ValueError, match="zip"):
        blended([noise(112, 112)], PoolingBackend(), forward, tile=64, overlap=16, batch_size=2)


@pytest.mark.parametrize("size", [(200, 40), (40, 200)])
def test_a_narrow_image_is_seen_to_its_end_in_tiles_as_narrow(size):
    image, backend = noise(*size), PoolingBackend()
    [[density]] = blended([image], backend, tile=64, overlap=16)
    assert {batch.shape[2:] for batch in backend.batches} == {(64, 48) if size[0] > size[1] else (48, 64)}
    np.testing.assert_allclose(density, known_density(image, 4), rtol=1e-5)


def test_cells_in_the_padding_are_dropped():
    backend = PoolingBackend()
    [[ones]] = blended([noise(33, 50)], backend, lambda tiles: np.ones_like(tiles[:, :1, ::4, ::4]))
    assert (ones.shape, ones.dtype) == ((9, 13), np.float32)
    assert ones.sum() == 9 * 13


@pytest.mark.parametrize("batch_size", [1, 3])
def test_several_maps_are_blended_each_by_the_same_weights(batch_size):
    image, backend = noise(150, 90), PoolingBackend()
    maps = blended([image], backend, backend.density_and_mask, tile=64, overlap=16, batch_size=batch_size)
    np.testing.assert_allclose(maps[0][0], known_density(image, 4), rtol=1e-5)
    np.testing.assert_allclose(maps[0][1], known_density(image, 4) - 1, rtol=1e-5, atol=1e-6)


def test_a_place_that_tiles_share_is_their_mean_weighted_by_the_distance_to_their_ends():
    number = iter([0.0, 1.0])  # the left tile says 0 everywhere, the right one 1
    backend = PoolingBackend(stride=4, size_divisor=4)

    def forward(tiles):
        return np.full((1, 1, tiles.shape[2] // 4, tiles.shape[3] // 4), next(number), np.float32)

    [[shares]] = blended([noise(4, 28)], backend, forward, tile=16, overlap=4)
    np.testing.assert_allclose(shares[0], [0, 0, 0, 0.5, 1, 1, 1])


def test_of_two_tiles_the_one_whose_centre_is_nearer_says_more():
    number = iter([0.0, 1.0])
    backend = PoolingBackend(stride=4, size_divisor=4)

    def forward(tiles):
        return np.full((1, 1, tiles.shape[2] // 4, tiles.shape[3] // 4), next(number), np.float32)

    [[shares]] = blended([noise(4, 40)], backend, forward, tile=24, overlap=8)  # six cells each, two shared
    np.testing.assert_allclose(shares[0], [0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1], rtol=1e-6)


def test_tiles_go_one_by_one_unless_more_are_asked_for():
    backend = PoolingBackend()
    forward = lambda tiles: backend.density(tiles)[:, None]  # noqa: E731
    blend_tiles([noise(100, 30)], forward, Geometry(**AS_IS, tile=64, overlap=16), backend)
    assert [len(batch) for batch in backend.batches] == [1, 1]
