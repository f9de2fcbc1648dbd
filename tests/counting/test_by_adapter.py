import itertools

import numpy as np
import pytest
from PIL import Image
from pooling_backend import AS_IS, PoolingBackend, known_density, noise

from sam_mprompt.counting.by_adapter import Setup, in_groups, paired
from sam_mprompt.counting.predict import count_each
from sam_mprompt.data.bounds import Reading
from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry

GEOMETRY = Geometry(**AS_IS)


class Doubling(PoolingBackend):
    def density(self, tiles):
        return 2 * super().density(tiles)


@pytest.fixture
def setups():
    """Two setups that count differently, at different sizes."""
    return {
        "gate": Setup(PoolingBackend(), GEOMETRY, Reading()),
        "station": Setup(Doubling(), Geometry(max_side=32, min_side=1), Reading()),
    }


def counts(setups, images, names, **options):
    pairs = paired(images, names, setups.__getitem__)
    return [result.density for result in count_each(pairs, **options)]


def test_each_image_is_counted_by_its_own_adapter_at_its_own_size_in_order(setups):
    images = [noise(64, 48, seed) for seed in range(5)]
    found = counts(setups, images, ["gate", "station", "station", "gate", "station"], batch_size=3)
    for at in (0, 3):
        np.testing.assert_allclose(found[at], known_density(images[at], 4), rtol=1e-5)
    assert [density.shape for density in found] == [(16, 12), (8, 6), (8, 6), (16, 12), (8, 6)]


@pytest.mark.parametrize("batch_size", [1, 2, 4, 7])
def test_mixed_images_count_bit_for_bit_as_those_of_each_adapter_alone(setups, batch_size):
    names = ["gate", "station", "gate", "gate", "station", "station", "gate"]
    images = [noise(64, 48, seed) for seed in range(len(names))]
    together = counts(setups, images, names, batch_size=batch_size)
    for name in setups:
        own = [at for at, other in enumerate(names) if other == name]
        alone = counts(setups, [images[at] for at in own], [name] * len(own), batch_size=batch_size)
        assert all(np.array_equal(together[at], density) for at, density in zip(own, alone, strict=True))


def test_images_of_one_adapter_that_are_decoded_together_share_a_call(setups):
    counts(setups, [noise(32, 32, seed) for seed in range(8)], ["gate", "station"] * 4, batch_size=8)
    assert [len(batch) for batch in setups["gate"].backend.batches] == [4]
    assert [len(batch) for batch in setups["station"].backend.batches] == [4]


def test_work_is_called_once_per_setup_and_must_answer_every_item(setups):
    gate, station = setups.values()
    asked = []

    def work(setup, items):
        asked.append(items)
        return [10 * item for item in items]

    assert in_groups([(gate, 1), (station, 2), (gate, 3)], work) == [10, 20, 30]
    assert asked == [[1, 3], [2]]
    with pytest.raises(ValueError, match="shorter"):
        in_groups([(gate, 1), (gate, 2)], lambda setup, items: items[:1])


@pytest.mark.parametrize("names", [["gate"], ["gate"] * 3, []])
def test_more_or_fewer_names_than_images_are_refused_before_any_is_read(setups, names):
    with pytest.raises(UsageError, match=f"one name per image, got 2 images and {len(names)} names"):
        paired([noise(8, 8)] * 2, names, setups.__getitem__)


def test_iterators_of_another_length_are_refused_when_they_end(setups):
    images = [noise(8, 8)] * 2
    with pytest.raises(UsageError, match="got only 1 names"):
        counts(setups, iter(images), iter(["gate"]))
    with pytest.raises(UsageError, match="got 2 images and more names"):
        counts(setups, iter(images), itertools.cycle(["gate"]))


@pytest.mark.parametrize("names", ["gate", None, 5, [5, None], [["gate"], "gate"]])
def test_what_is_not_a_name_per_image_is_refused_in_one_line(setups, names):
    with pytest.raises(UsageError, match="expected one name per image") as refused:
        paired([noise(8, 8)] * 2, names, setups.__getitem__)
    assert "\n" not in str(refused.value)


def test_an_image_that_cannot_be_read_is_left_out_and_the_others_keep_their_adapters(setups, tmp_path):
    for name in "abc":
        Image.fromarray(noise(16, 16)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    failed = []
    images, names = [tmp_path / f"{name}.png" for name in "abc"], ["gate", "gate", "station"]
    first, last = counts(setups, images, names, batch_size=3, on_error=lambda image, error: failed.append(image))
    assert failed == [tmp_path / "b.png"]
    np.testing.assert_allclose(last, 2 * first)


def test_names_without_an_image_are_told_as_such(setups):
    with pytest.raises(UsageError, match=r"^adapters: expected one name per image, got 0 images and more names\.$"):
        next(paired(iter(()), iter(["gate"]), setups.__getitem__))
