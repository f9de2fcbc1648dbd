"""Two processes that fill one folder at the same time, and one of them that is killed."""

import random

import pytest
from faults.caches import features
from faults.disks import contents
from faults.killing import SEED, Child, leftovers

from sam_mprompt.data.cache.images import ImageCache
from sam_mprompt.geometry import Geometry
from sam_mprompt.masks.make import PointMasks, make_masks


@pytest.fixture(params=["features", "images", "masks"])
def fill(request, tiny_recipe, crowd_folder):
    """What fills a folder."""
    if request.param == "features":
        return features(tiny_recipe, crowd_folder)
    if request.param == "masks":
        return lambda folder: make_masks(PointMasks(5), crowd_folder, folder / "masks")

    def images(folder):
        cache = ImageCache(folder / "images", Geometry(min_side=64))
        for image in sorted(crowd_folder.glob("*.png")):
            cache.read(image)

    return images


def test_two_that_fill_one_folder_leave_what_one_would(tmp_path, fill):
    fill(tmp_path / "whole")
    for attempt in range(5):
        together = tmp_path / f"together-{attempt}"
        together.mkdir()
        for ended in [child.end() for child in [Child(fill, together), Child(fill, together)]]:
            assert ended.code == 0, ended.said
        assert contents(together) == contents(tmp_path / "whole")
        assert leftovers(together) == []


def test_one_that_is_killed_does_not_trouble_the_other(tmp_path, fill):
    fill(tmp_path / "whole")
    draws = random.Random(f"two {SEED}")
    for attempt in range(5):
        together = tmp_path / f"together-{attempt}"
        killed, other = Child(fill, together, before=draws.randint(1, 12)), Child(fill, together)
        assert killed.end().code in (0, -9)
        ended = other.end()
        assert ended.code == 0, ended.said
        fill(together)
        assert contents(together) == contents(tmp_path / "whole")
