import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from small_encoders import fill_adapter

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.loading import load_adapter
from sam_mprompt.data.dataset import CropDataset, collate
from sam_mprompt.data.sources import open_split
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.losses import MutualPromptLoss
from sam_mprompt.models.build import build_counter
from sam_mprompt.models.sam_encoder import SamConfig, SamEncoder
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.feature_cache import CachedCrops, build_cache
from sam_mprompt.training.finetune import finetune
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.tuning.selection import base_tensors

CACHED = ["data.cache=features", "data.jitter=0", "loss.kappa=1", "train.epochs=2"]
SIDE = ["tuning.method=side", *CACHED]


@pytest.fixture
def recipe(tmp_path, tiny_recipe):
    return load_recipe(tiny_recipe, [*SIDE, f"data.cache_root={tmp_path / 'features'}"])


@pytest.fixture(scope="session")
def deep_base(tmp_path_factory):
    """A base with adapted blocks behind frozen ones, and global blocks (1 and 3) among both."""
    path = tmp_path_factory.mktemp("base") / "deep_sam.safetensors"
    config = SamConfig(
        embed_dim=32, depth=4, num_heads=2, global_attn_indexes=(1, 3), out_channels=16, window_size=4, grid=8
    )
    save_file(SamEncoder.random(config, seed=5).state_dict(), path)
    return path


@pytest.fixture
def adapted(tmp_path, tiny_recipe, deep_base):
    """Return a recipe whose later blocks are adapted, with further overrides."""

    def load(*overrides, blocks="tuning.blocks=[3, 2]"):
        own = [f"model.base={deep_base}", *filter(None, [blocks]), f"data.cache_root={tmp_path / 'features'}"]
        return load_recipe(tiny_recipe, [*CACHED, *own, *overrides])

    return load


@pytest.fixture
def squares(tmp_path):
    """Two images for training, and one to validate on, that are as large as a crop."""
    folder = tmp_path / "squares"
    folder.mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 255, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text("20 30\n40 10\n50 55\n")
    (folder / "train.txt").write_text("0.png\n1.png")
    (folder / "val.txt").write_text("2.png")
    return folder


def cached(recipe, folder, **options):
    built = build_counter(recipe.model, recipe.tuning, segmenter=True)
    source = open_split(recipe, "train", folder).source
    done = []
    cache = build_cache(
        built.counter,
        source,
        options.pop("fingerprint", built.base.fingerprint),
        data=recipe.data,
        model=recipe.model,
        stop_before=recipe.tuning.first_block,
        device=torch.device("cpu"),
        say=options.pop("say", lambda _: None),
        progress=lambda number, _: done.append(number),
    )
    return built.counter.eval(), source, cache, len(done)


def cached_crops(source, cache, recipe, counter):
    how = {"seed": recipe.train.seed, "stride": counter.stride, "pixels": recipe.model.stem_channels > 0}
    return CachedCrops(source, cache, recipe.data, recipe.targets, **how)


def rounded(_module, inputs):
    """Round what enters a module to float16; gradients pass."""
    return (inputs[0] + (inputs[0].half().float() - inputs[0]).detach(),)


def images_of(source, index, counter, *, flipped):
    """An image as the counter gets it: resized, padded to the encoder's multiple with zeros."""
    image = source.frame(0, index).image[:, :: -1 if flipped else 1]
    height, width = (-(-side // counter.size_divisor) * counter.size_divisor for side in image.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return counter.normalise(torch.from_numpy(canvas).permute(2, 0, 1)[None], [image.shape[:2]])


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
    crops = cached_crops(source, cache, recipe, counter)
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
    with pytest.raises(RunError, match=r"Delete it: it is made again"):
        cache.read(1)


def test_another_base_geometry_stretch_or_image_makes_a_cache_stale(recipe, crowd_folder, tmp_path):
    *_, cache, _ = cached(recipe, crowd_folder)
    assert cached(recipe, crowd_folder, fingerprint="sha256:another")[3] == 6
    larger = recipe.model_copy(update={"data": recipe.data.model_copy(update={"scale": 1.5})})
    assert cached(larger, crowd_folder)[3] == 6
    stretched = recipe.model_copy(update={"data": recipe.data.model_copy(update={"stretch": True})})
    assert cached(stretched, crowd_folder)[3] == 6
    changed = tmp_path / "changed"
    shutil.copytree(crowd_folder, changed)
    shutil.copy(changed / "9.png", changed / "0.png")
    shutil.copy(changed / "9.json", changed / "0.json")
    *_, other, computed = cached(recipe, changed)
    assert computed == 1
    assert other.files[1:] == cache.files[1:]


def test_a_cache_made_for_another_first_block_is_not_read_and_one_for_another_method_is(adapted, crowd_folder):
    *_, cache, computed = cached(adapted(), crowd_folder)
    assert (computed, cache.stop_before) == (6, 2)
    assert cached(adapted("tuning.blocks=[3]"), crowd_folder)[3] == 6
    assert cached(adapted("tuning.method=side", blocks=""), crowd_folder)[3] == 6
    for same in ("tuning.blocks=[2]", "tuning.method=lora", "tuning.bottleneck=4"):
        *_, other, computed = cached(adapted(same), crowd_folder)
        assert (computed, other.files) == (0, cache.files)


@pytest.mark.parametrize("levels", ["false", "true"])
@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("method", ["prompt", "lora"])
def test_training_on_the_cache_gives_the_loss_and_gradients_of_training_on_pixels(
    adapted, squares, method, first, levels
):
    choice = [f"tuning.method={method}", f"tuning.blocks=[{first}, 3]", f"model.fuse_levels={levels}"]
    recipe = adapted(*choice, "data.flip=0.0", "targets.pseudo_mask=points", "model.stem_channels=4")
    counter, source, cache, _ = cached(recipe, squares)
    assert len(cache.channels) == 1 + (levels == "true" and first == 3)
    fill_adapter(counter.encoder, "default")
    if levels == "true":
        torch.nn.init.normal_(counter.fusion.projections[0].weight, std=0.1)
        counter.fusion.projections[0].register_forward_pre_hook(rounded)
    # With the cache's rounding on both sides, what is left is the order of additions: no real error hides behind it.
    counter.encoder.blocks[first].register_forward_pre_hook(rounded)
    on_pixels = CropDataset(source, recipe.data, recipe.targets, seed=recipe.train.seed, stride=counter.stride)
    on_cache = cached_crops(source, cache, recipe, counter)
    loss = MutualPromptLoss(recipe.loss, stride=counter.stride)
    losses, gradients = [], []
    for crops in (on_pixels, on_cache):
        batch = collate([crops[0, 0], crops[0, 1]])
        encoded = () if batch.features is None else (cache.split(batch.features), cache.stop_before)
        counter.train().zero_grad()
        output = counter(counter.normalise(batch.images, batch.sizes), *encoded)
        terms = loss(output.density, output.mask_logits, batch.targets, epoch=0)
        terms["loss"].backward()
        losses.append(terms["loss"].item())
        gradients.append({n: p.grad.clone() for n, p in counter.named_parameters() if p.requires_grad})
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert any("encoder" in name for name in gradients[0])
    for name, expected in gradients[0].items():
        assert expected.norm() > 0, name
        assert (gradients[1][name] - expected).norm() <= 5e-3 * expected.norm(), name


def test_the_size_is_told_before_and_a_limit_refuses(recipe, crowd_folder, tmp_path):
    told = []
    cached(recipe, crowd_folder, say=told.append)
    assert "GB" in told[0]
    assert "6 images" in told[0]
    small = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"cache_gb": 1e-6, "cache_root": str(tmp_path / "other")})}
    )
    with pytest.raises(UsageError, match=r"data\.cache_gb"):
        cached(small, crowd_folder)
    assert not (tmp_path / "other").exists()


def test_a_crop_larger_than_an_image_is_refused(recipe, crowd_folder):
    large = recipe.model_copy(update={"data": recipe.data.model_copy(update={"crop": 112})})
    with pytest.raises(UsageError, match=r"data\.crop = 112 is larger than"):
        cached(large, crowd_folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tuning.method=prompt", r"trains inside the encoder .*from block 0 on with tuning\.blocks = 'all'"),
        ("tuning.method=lora tuning.blocks=[4, 0]", r"from block 0 on with tuning\.blocks = \[4, 0\]"),
        ("tuning.method=full", "trains all of the encoder"),
        ("tuning.method=prompt tuning.blocks=[4] model.encoder=timm", r"'timm' cannot go on from a block as 'sam' can"),
        ("data.jitter=0.1", "changes images in every epoch"),
        ("data.random_scale=[0.8, 1.2]", "does too"),
        ("data.format=synthetic", "painted anew in every epoch"),
        ("model.fuse_levels=true", "both use all depths"),
    ],
)
def test_what_cannot_be_cached_is_refused_by_the_recipe(tiny_recipe, change, message):
    with pytest.raises(UsageError, match=message):
        load_recipe(tiny_recipe, [*SIDE, *re.split(r" (?=[a-z]+\.)", change)])


@pytest.mark.parametrize("stem", [0, 8])
def test_a_side_network_trains_on_the_cache_and_its_adapter_counts(recipe, crowd_folder, tmp_path, stem):
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"stem_channels": stem})})
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"workers": 1})})
    result = finetune(recipe, data=crowd_folder, run=RunFolder(tmp_path / "run"))
    adapter = AdapterFolder.read(result.adapter)
    assert adapter.config is None
    assert any(name.startswith("counter.fusion.") for name in adapter.tensors)
    assert not any(".encoder." in name for name in adapter.tensors)
    model = load_adapter(adapter).counter
    before = base_tensors(build_counter(recipe.model, recipe.tuning, segmenter=False).counter.encoder)
    after = base_tensors(model.encoder)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_training_on_the_cache_runs_nothing_before_the_first_adapted_block(adapted, crowd_folder, tmp_path):
    recipe = adapted("model.fuse_levels=true")
    session = TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(tmp_path / "run"))
    runs = {True: set(), False: set()}
    encoder = session.counter.encoder
    for name, part in [("patch", encoder.patch_embed), *enumerate(encoder.blocks)]:
        part.register_forward_hook(lambda *_, name=name: runs[session.counter.training].add(name))
    session.fit()
    assert runs == {True: {2, 3}, False: {"patch", 0, 1, 2, 3}}


def test_an_adapter_trained_on_the_cache_counts(adapted, crowd_folder, tmp_path):
    run = tmp_path / "run"
    result = finetune(adapted(), data=crowd_folder, run=RunFolder(run))
    adapter = AdapterFolder.read(result.adapter)
    blocks = {match[1] for name in adapter.tensors if (match := re.search(r"blocks\.(\d+)\.", name))}
    assert {"2", "3"} <= blocks
    assert load_adapter(adapter).counter.encoder.config.depth == 4


def test_what_trains_before_the_first_adapted_block_cannot_be_cached(adapted, crowd_folder):
    with pytest.raises(UsageError, match=r"before block 2, .* but patch_embed would train"):
        cached(adapted('tuning.modules_to_save=["patch_embed"]'), crowd_folder)
    cached(adapted('tuning.modules_to_save=["neck"]'), crowd_folder)


def test_a_side_network_starts_as_the_encoders_own_features(recipe):
    counter = build_counter(recipe.model, recipe.tuning, segmenter=False).counter.eval()
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


PYRAMID = ["model.encoder=timm", "model.base=resnet10t", "model.pretrained=false", "model.levels=[4,8,32]"]


def test_levels_of_several_resolutions_come_out_of_the_cache_as_the_encoder_gave_them(tmp_path, squares):
    overrides = [*SIDE, *PYRAMID, "model.density_stride=8", "data.crop=64", f"data.cache_root={tmp_path / 'features'}"]
    recipe = load_recipe("shb-scratch", [*overrides, "data.format=points", "data.scale=1", "data.random_scale=[1,1]"])
    source = open_split(recipe, "train", squares).source
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    counter = built.counter.eval()
    fingerprint = built.base.fingerprint
    cache = build_cache(
        counter,
        source,
        fingerprint,
        data=recipe.data,
        model=recipe.model,
        stop_before=recipe.tuning.first_block,
        device=torch.device("cpu"),
        say=lambda line: None,
    )
    assert cache.stride == 32
    crops = cached_crops(source, cache, recipe, counter)
    batch = collate([crops[0, 0]])
    levels = cache.split(batch.features)
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 16), (8, 8), (2, 2)]
    image = torch.from_numpy(source.frame(0, 0).image.copy()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = counter.encode(counter.normalise(image))
        whole = cache.split(torch.from_numpy(cache.read(0)[:1].copy()).permute(0, 3, 1, 2))
        for cached, own in zip(whole, expected, strict=True):
            torch.testing.assert_close(cached, own, rtol=2e-3, atol=2e-3)
        density = counter(counter.normalise(image), whole).density
        torch.testing.assert_close(density, counter(counter.normalise(image)).density, rtol=1e-2, atol=1e-3)
