import os
import shutil

import numpy as np
import pytest
import torch

from sam_mprompt.data.cache import images as image_cache
from sam_mprompt.data.dataset import CropDataset
from sam_mprompt.data.sources import open_split
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.finetune import finetune
from sam_mprompt.training.run import RunFolder


def source(recipe_file, folder, root, *more):
    overrides = ["data.cache=images", f"data.cache_root={root}", "data.scale=1.5", *more]
    recipe = load_recipe(recipe_file, overrides)
    return open_split(recipe, "train", folder).source, recipe


def test_crops_are_the_same_with_and_without_the_cache(tiny_recipe, crowd_folder, tmp_path):
    with_cache, recipe = source(tiny_recipe, crowd_folder, tmp_path / "cache")
    without, _ = source(tiny_recipe, crowd_folder, tmp_path / "cache", "data.cache=none")
    for _ in range(2):  # written, then read
        for key in [(0, 0), (0, 3), (1, 3), (4, 5)]:
            a, b = (CropDataset(s, recipe.data, recipe.targets, seed=0, stride=4)[key] for s in (with_cache, without))
            assert torch.equal(a.image, b.image)
            assert torch.equal(a.targets.density, b.targets.density)
            assert torch.equal(a.targets.context_mask, b.targets.context_mask)


def test_an_image_is_decoded_once(tiny_recipe, crowd_folder, tmp_path, monkeypatch):
    decoded = []
    read = image_cache.read_image
    monkeypatch.setattr(image_cache, "read_image", lambda path: decoded.append(path) or read(path))
    for _ in range(2):
        images, _ = source(tiny_recipe, crowd_folder, tmp_path / "cache")
        for index in range(len(images)):
            images.frame(0, index)
    assert len(decoded) == len(set(decoded)) == 6


def test_a_changed_image_or_size_is_decoded_anew(tiny_recipe, crowd_folder, tmp_path):
    folder = tmp_path / "crowd"
    shutil.copytree(crowd_folder, folder)
    images, _ = source(tiny_recipe, folder, tmp_path / "cache")
    before = images.frame(0, 0).image.copy()
    shutil.copy(folder / "2.png", folder / "0.png")
    os.utime(folder / "0.png", (1, 1))
    after = source(tiny_recipe, folder, tmp_path / "cache")[0].frame(0, 0).image
    assert np.array_equal(after, images.frame(0, 2).image)
    assert not np.array_equal(after, before)
    smaller = source(tiny_recipe, folder, tmp_path / "cache", "data.scale=1.0")[0].frame(0, 2)
    assert smaller.size == images.samples[2].size


def test_a_cache_beyond_its_limit_is_refused_before_anything_is_written(tiny_recipe, crowd_folder, tmp_path):
    with pytest.raises(UsageError, match=r"data\.cache_gb"):
        source(tiny_recipe, crowd_folder, tmp_path / "cache", "data.cache_gb=1e-6")
    assert not (tmp_path / "cache").exists()


def test_procedural_scenes_cannot_be_cached(tiny_recipe):
    with pytest.raises(UsageError, match="scenes are painted"):
        load_recipe(tiny_recipe, ["data.cache=images", "data.format=synthetic"])


def test_training_works_on_cached_images(tiny_recipe, crowd_folder, tmp_path):
    overrides = ["data.cache=images", f"data.cache_root={tmp_path / 'cache'}", "train.epochs=1", "train.workers=1"]
    run = tmp_path / "run"
    recipe = load_recipe(tiny_recipe, overrides)
    result = finetune(recipe, data=crowd_folder, run=RunFolder(run))
    assert result.adapter.is_dir()
