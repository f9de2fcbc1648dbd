"""Two processes that fill one folder at the same time, and one of them that is killed."""

import random

import pytest
from faults.caches import features
from faults.disks import contents
from faults.killing import SEED, Child, leftovers

from sam_mprompt.data.sources import open_split
from sam_mprompt.masks.make import PointMasks, make_masks
from sam_mprompt.recipe.schema import load_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(params=["features", "images", "masks"])
def fill(request, tiny_recipe, crowd_folder):
    """What fills a folder."""
    if request.param == "features":
        return features(tiny_recipe, crowd_folder)
    if request.param == "masks":
        return lambda folder: make_masks(PointMasks(5), crowd_folder, folder / "masks")

    def images(folder):
        root = [f"data.cache_root={folder / 'images'}", "data.cache=images"]
        source = open_split(load_recipe(tiny_recipe, root), "train", crowd_folder).source
        for index in range(len(source)):
            source.frame(0, index)

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
