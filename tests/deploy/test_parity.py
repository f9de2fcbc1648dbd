import numpy as np
import pytest
from pooling_backend import noise

from sam_mprompt.counting.counter import load
from sam_mprompt.counting.torch_backend import TorchBackend
from sam_mprompt.data.bounds import Reading
from sam_mprompt.deploy.parity import Parity, check, compare
from sam_mprompt.errors import RunError
from sam_mprompt.geometry import Geometry


@pytest.fixture(scope="module")
def adapter(trained_run):
    return load(trained_run, device="cpu")


class Altered:
    """The adapter's own backend, but for what `change` makes of its densities."""

    def __init__(self, backend, change):
        self.backend, self.change = backend, change
        self.stride, self.size_divisor, self.mean, self.std = (
            backend.stride, backend.size_divisor, backend.mean, backend.std
        )  # fmt: skip

    def density(self, tiles):
        return self.change(self.backend.density(tiles))


def compared(adapter, change, **options):
    geometry = adapter.folder.geometry
    settings = {"tile": None, "own": geometry, "reading": Reading()} | options
    images = [noise(90, 70), noise(120, 150)]
    return compare(adapter.model, Altered(TorchBackend(adapter.model, "cpu"), change), images, geometry, **settings)


def test_the_same_network_has_parity(adapter):
    parity = compared(adapter, lambda density: density)
    assert (parity.images, parity.density, parity.count, parity.total, parity.tiles) == (2, 0, 0, 0, None)
    check(parity, "float32", "It")


def test_a_share_that_is_missing_is_measured_and_refused(adapter):
    parity = compared(adapter, lambda density: density * np.float32(0.98))
    heads = [adapter.count(noise(90, 70)).count, adapter.count(noise(120, 150)).count]
    assert parity.density == pytest.approx(0.02, rel=1e-2)
    assert parity.total == pytest.approx(0.02 * sum(heads) / max(sum(heads), 1), rel=1e-2)
    with pytest.raises(RunError, match=r"does not count as its adapter: expected counts within 0\.01 %"):
        check(parity, "float32", "It")


def test_mass_that_moved_is_refused_in_float32_though_the_count_is_right():
    moved = Parity(images=1, density=0.5, count=0.0, total=0.0)
    with pytest.raises(RunError):
        check(moved, "float32", "It")


@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 2e-2), ("float16", 1e-2), ("int8", 5e-2)])
def test_narrower_numbers_may_be_off_a_little(dtype, limit):
    check(Parity(2, 0.1, limit * 0.9, limit * 0.9), dtype, "It")
    with pytest.raises(RunError):
        check(Parity(2, 0.1, limit * 1.1, limit * 1.1), dtype, "It")


def test_a_fixed_tile_is_compared_with_the_same_tiles_and_told_against_the_adapters_own(adapter):
    own, tile = adapter.folder.geometry, 128

    class Padded(Altered):
        def density(self, tiles):
            height, width = tiles.shape[2:]
            padded = np.zeros((len(tiles), 3, tile, tile), np.float32)
            padded[:, :, :height, :width] = tiles
            return self.backend.density(padded)[:, : height // self.stride, : width // self.stride]

    geometry = Geometry(**(vars(own) | {"tile": tile}))
    parity = compare(
        adapter.model, Padded(TorchBackend(adapter.model, "cpu"), None), [noise(90, 70)], geometry,
        tile=tile, own=own, reading=Reading(),
    )  # fmt: skip
    assert parity.count < 1e-6
    assert parity.tiles is not None
    assert parity.tiles > 0
