import shutil

import numpy as np
import pytest
import torch
from rich.console import Console

from sam_mprompt.artifacts import load_adapter, read_adapter
from sam_mprompt.data.feature_cache import CachedCrops, build_cache
from sam_mprompt.data.sources import open_split
from sam_mprompt.errors import RequestError, WorkError
from sam_mprompt.finetune import finetune
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe import load_recipe
from sam_mprompt.tuning.selection import base_tensors

SIDE = ["tuning.method=side", "data.cache=features", "data.jitter=0", "loss.kappa=1", "train.epochs=2"]


@pytest.fixture
def recipe(tmp_path, tiny_recipe):
    return load_recipe(tiny_recipe, [*SIDE, f"data.cache_root={tmp_path / 'features'}"])


def cached(recipe, folder, **options):
    built = build_counter(recipe, segmenter=True)
    source = open_split(recipe, "train", folder).source
    done = []
    cache = build_cache(
        built.counter,
        source,
        recipe,
        options.pop("fingerprint", built.base.fingerprint),
        pad_colour=built.pad_colour,
        device=torch.device("cpu"),
        say=options.pop("say", lambda _: None),
        progress=lambda number, _: done.append(number),
    )
    return built.counter.eval(), source, cache, len(done)


def images_of(source, index, counter, *, flipped):
    """An image as the counter gets it: resized, padded to the encoder's multiple with the mean colour."""
    image = source.frame(0, index).image[:, :: -1 if flipped else 1]
    height, width = (-(-side // counter.multiple) * counter.multiple for side in image.shape[:2])
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = [round(255 * value) for value in counter.encoder.mean]
    canvas[: image.shape[0], : image.shape[1]] = image
    return counter.normalise(torch.from_numpy(canvas).permute(2, 0, 1)[None])


@pytest.mark.parametrize("flipped", [False, True])
def test_cached_features_give_the_density_of_the_encoder_itself(recipe, crowd_folder, flipped):
    counter, source, cache, _ = cached(recipe, crowd_folder)
    torch.nn.init.normal_(counter.fusion.output.weight, std=0.1)
    for index in range(3):
        images = images_of(source, index, counter, flipped=flipped)
        features = torch.from_numpy(cache.read(index)[int(flipped)].copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            expected, got = counter(images), counter(images, cache.split(features))
        torch.testing.assert_close(got.density, expected.density, atol=2e-3, rtol=1e-2)
        torch.testing.assert_close(got.mask_logits, expected.mask_logits, atol=2e-2, rtol=1e-2)


def test_a_crop_is_cut_on_the_feature_grid_with_its_heads(recipe, crowd_folder):
    counter, source, cache, _ = cached(recipe, crowd_folder)
    crops = CachedCrops(source, recipe, cache, stride=counter.stride)
    seen = set()
    for epoch in range(12):
        for index in range(len(crops)):
            crop = crops[epoch, index]
            whole = cache.read(index).astype(np.float32)
            part = crop.features.permute(1, 2, 0).float().numpy()
            places = [
                (view, y, x)
                for view in range(2)
                for y in range(whole.shape[1] - 3)
                for x in range(whole.shape[2] - 3)
                if np.array_equal(whole[view, y : y + 4, x : x + 4], part)
            ]
            assert len(places) == 1
            view, y, x = places[0]
            seen.add((index, *places[0]))
            points = source.outline(index).points.copy()
            if view:
                points[:, 0] = source.outline(index).size[1] - points[:, 0]
            inside = ((points >= (16 * x, 16 * y)) & (points < (16 * x + 64, 16 * y + 64))).all(axis=1)
            # A head on the very edge may fall to either side when it is mirrored.
            assert abs(float(crop.targets.density.sum()) - inside.sum()) < 1e-3
    assert len(seen) > 2 * len(crops)


def test_the_outline_is_the_frame_without_its_pixels(recipe, crowd_folder):
    source = open_split(recipe, "train", crowd_folder).source
    for index in range(len(source)):
        frame, outline = source.frame(0, index), source.outline(index)
        assert outline.size == frame.size
        assert np.array_equal(outline.points, frame.points)
        assert np.array_equal(outline.radius, frame.radius)
        assert np.array_equal(outline.boxes, frame.boxes)
        assert not outline.image.any()


def test_what_is_cached_is_not_computed_again_and_an_interrupted_cache_goes_on(recipe, crowd_folder):
    *_, cache, first = cached(recipe, crowd_folder)
    assert first == 6
    assert cached(recipe, crowd_folder)[3] == 0
    cache.files[2].unlink()
    assert cached(recipe, crowd_folder)[3] == 1


def test_a_damaged_cache_file_is_named(recipe, crowd_folder):
    *_, cache, _ = cached(recipe, crowd_folder)
    cache.files[1].write_bytes(cache.files[1].read_bytes()[:200])
    with pytest.raises(WorkError, match=r"Delete it: it is made again"):
        cache.read(1)


def test_another_base_geometry_or_image_makes_a_cache_stale(recipe, crowd_folder, tmp_path):
    *_, cache, _ = cached(recipe, crowd_folder)
    assert cached(recipe, crowd_folder, fingerprint="sha256:another")[3] == 6
    larger = recipe.model_copy(update={"data": recipe.data.model_copy(update={"scale": 1.5})})
    assert cached(larger, crowd_folder)[3] == 6
    changed = tmp_path / "changed"
    shutil.copytree(crowd_folder, changed)
    shutil.copy(changed / "9.png", changed / "0.png")
    shutil.copy(changed / "9.json", changed / "0.json")
    *_, other, computed = cached(recipe, changed)
    assert computed == 1
    assert other.files[1:] == cache.files[1:]


def test_the_size_is_told_before_and_a_limit_refuses(recipe, crowd_folder, tmp_path):
    told = []
    cached(recipe, crowd_folder, say=told.append)
    assert "GB" in told[0]
    assert "6 images" in told[0]
    small = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"cache_gb": 1e-6, "cache_root": str(tmp_path / "other")})}
    )
    with pytest.raises(RequestError, match=r"data\.cache_gb"):
        cached(small, crowd_folder)
    assert not (tmp_path / "other").exists()


def test_a_crop_larger_than_an_image_is_refused(recipe, crowd_folder):
    large = recipe.model_copy(update={"data": recipe.data.model_copy(update={"crop": 112})})
    with pytest.raises(RequestError, match=r"data\.crop = 112 is larger than"):
        cached(large, crowd_folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tuning.method=prompt", "trains inside the encoder"),
        ("data.jitter=0.1", "changes images in every epoch"),
        ("data.random_scale=[0.8, 1.2]", "does too"),
        ("data.format=synthetic", "new in every epoch"),
        ("model.fuse_levels=true", "both use all depths"),
    ],
)
def test_what_cannot_be_cached_is_refused_by_the_recipe(tiny_recipe, change, message):
    with pytest.raises(RequestError, match=message):
        load_recipe(tiny_recipe, [*SIDE, change])


@pytest.mark.parametrize("stem", [0, 8])
def test_a_side_network_trains_on_the_cache_and_its_adapter_counts(recipe, crowd_folder, tmp_path, stem):
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"stem_channels": stem})})
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"workers": 1})})
    result = finetune(recipe, data=crowd_folder, run=tmp_path / "run", resume=False, console=Console(quiet=True))
    adapter = read_adapter(result.adapter)
    assert adapter.config is None
    assert any(name.startswith("counter.fusion.") for name in adapter.tensors)
    assert not any(".encoder." in name for name in adapter.tensors)
    model = load_adapter(adapter).counter
    before = base_tensors(build_counter(recipe, segmenter=False).counter.encoder)
    after = base_tensors(model.encoder)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_side_network_starts_as_the_encoders_own_features(recipe):
    counter = build_counter(recipe, segmenter=False).counter.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        levels = counter.encode(images)
        torch.testing.assert_close(counter.fusion(levels), levels[-1])


def test_the_cache_is_kept_per_view_in_half_precision(recipe, crowd_folder):
    _, source, cache, _ = cached(recipe, crowd_folder)
    features = cache.read(0)
    height, width = (-(-side // 16) for side in source.frame(0, 0).size)
    assert features.dtype == np.float16
    assert features.shape == (2, height, width, sum(cache.channels))
