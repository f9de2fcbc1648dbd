import pytest
import safetensors.torch
import timm
import torch
from small_encoders import features_of

from sam_mprompt.bases.weights import fingerprint
from sam_mprompt.errors import UsageError
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.timm_encoder import TimmEncoder
from sam_mprompt.recipe.schema import SamModel, TimmModel
from sam_mprompt.tuning.attach import attach


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return TimmEncoder("resnet10t", pretrained=False).eval()


def test_all_levels_from_stride_4_on_are_joined_at_stride_4(encoder):
    (features,) = encoder(torch.randn(1, 3, 64, 96))
    assert features.shape == (1, encoder.out_channels, 16, 24)
    assert encoder.out_channels == sum(encoder.level_channels)
    assert len(encoder.level_channels) == 4


def test_asked_for_its_levels_it_returns_each_at_its_own_resolution(encoder):
    levels = encoder(torch.randn(1, 3, 64, 96), levels=True)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.level_channels, encoder.level_strides, strict=True)
    ]


@pytest.mark.parametrize("name", ["hf-hub:somebody/model", "hf_hub:somebody/model", "local-dir:somewhere", "a/b"])
def test_only_models_that_timm_knows_are_built_and_none_of_the_hubs_or_a_folders(name):
    with pytest.raises(UsageError, match=f"timm has no model '{name}'"):
        TimmEncoder(name, pretrained=True)


def test_levels_of_several_resolutions_cannot_be_fused(encoder):
    with pytest.raises(
        UsageError, match=r"expects depths of one resolution, as a SAM encoder has; .* has 4 of several"
    ):
        CrowdCounter(encoder, SamModel(fuse_levels=True), segmenter=False)


@pytest.mark.parametrize(("levels", "join"), [([], 4), ([], 8), ([8, 16], 8), ([4, 32], 16)])
def test_a_side_network_climbs_a_pyramid_to_the_features_resolution(levels, join):
    torch.manual_seed(0)
    pyramid = TimmEncoder("resnet10t", pretrained=False, levels=levels, join=join).eval()
    counter = CrowdCounter(pyramid, SamModel(density_stride=join), segmenter=False, side=6).eval()
    images = torch.randn(1, 3, 64, 96)
    assert counter.fusion(counter.encode(images)).shape == (1, 6, 64 // join, 96 // join)
    assert counter(images).density.shape == (1, 1, 64 // join, 96 // join)


def test_a_side_network_reads_every_level_of_a_pyramid(encoder):
    counter = CrowdCounter(encoder, SamModel(density_stride=4), segmenter=False, side=6).eval()
    levels = [level.detach().requires_grad_() for level in counter.encode(torch.randn(1, 3, 64, 96))]
    counter.fusion(levels).square().sum().backward()
    for level in levels:
        assert (level.grad != 0).float().mean() > 0.9  # nothing of a fine level is passed over


def test_a_side_networks_gradient_stays_out_of_a_frozen_pyramid():
    pyramid = attach(TimmEncoder("resnet10t", pretrained=False), "side")
    counter = CrowdCounter(pyramid, SamModel(), segmenter=False, side=6).train()
    before = {name: tensor.clone() for name, tensor in pyramid.state_dict().items()}
    counter(torch.randn(2, 3, 64, 64)).density.sum().backward()
    assert all(parameter.grad is None for parameter in pyramid.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pyramid.state_dict().items())


def test_stages_behind_the_last_level_can_be_left_out():
    torch.manual_seed(0)
    whole = TimmEncoder("tf_efficientnet_lite0", pretrained=False, levels=[8], join=8).eval()
    pruned = TimmEncoder("tf_efficientnet_lite0", pretrained=False, levels=[8], join=8, pruned=True).eval()
    state = whole.state_dict()
    pruned.load_state_dict({key: state[key] for key in pruned.state_dict()})
    assert parameters(pruned) < 0.02 * parameters(whole)
    images = torch.randn(1, 3, 32, 64)
    with torch.inference_mode():
        assert torch.equal(features_of(pruned, images), features_of(whole, images))


def test_a_side_network_stands_on_a_model_of_one_level():
    torch.manual_seed(0)
    vit = TimmEncoder("test_vit", pretrained=False, levels=[16], join=16).eval()
    counter = CrowdCounter(vit, SamModel(density_stride=8), segmenter=False, side=4).eval()
    assert counter(torch.randn(1, 3, 64, 96)).density.shape == (1, 1, 8, 12)


def test_a_counter_stands_on_it_at_stride_4_and_finer(encoder):
    for stride in (4, 2):
        model = CrowdCounter(encoder, SamModel(density_stride=stride, gate="segmenter"), segmenter=True)
        assert model(torch.randn(2, 3, 64, 64)).density.shape == (2, 1, 64 // stride, 64 // stride)


def test_levels_are_joined_at_the_densitys_stride_when_that_is_coarser():
    torch.manual_seed(0)
    model = TimmEncoder("resnet10t", pretrained=False, join=8).eval()
    assert (model.stride, model.size_divisor) == (8, 32)
    assert features_of(model, torch.randn(1, 3, 64, 96)).shape == (1, model.out_channels, 8, 12)
    flat = features_of(model, torch.zeros(1, 3, 64, 64))[:, :64]  # the stride-4 level, averaged
    finest = model(torch.zeros(1, 3, 64, 64), levels=True)[0]
    torch.testing.assert_close(flat.mean((2, 3)), finest.mean((2, 3)))


@pytest.mark.parametrize(("stem_stride", "stride"), [(2, 4), (1, 2)])
def test_hrnets_own_branches_are_joined_and_its_stem_sets_their_resolution(stem_stride, stride):
    model = TimmEncoder("hrnet_w18_small", pretrained=False, stem_stride=stem_stride, join=stride).eval()
    assert model.level_channels == (16, 32, 64, 128)
    assert (model.stride, model.size_divisor) == (stride, 8 * stride)
    with torch.inference_mode():
        assert features_of(model, torch.randn(1, 3, 64, 96)).shape == (1, 240, 64 // stride, 96 // stride)


@pytest.mark.slow
def test_vgg19_up_to_stride_8_is_what_the_paper_counts():
    model = TimmEncoder("vgg19_bn", pretrained=False, levels=[8], join=8).eval()
    assert (model.level_channels, model.stride, model.size_divisor) == ((512,), 8, 8)
    assert 10.5e6 < parameters(model) < 10.7e6  # nothing behind conv4_4


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        pytest.param("vit_base_patch16_dinov3", 85.6, marks=pytest.mark.slow),
        pytest.param("samvit_base_patch16", 88.9, marks=pytest.mark.slow),
        ("vit_pe_spatial_tiny_patch16_512", 5.7),
    ],
)
def test_of_a_plain_vit_every_block_is_kept(name, millions):
    with torch.device("meta"):
        model = TimmEncoder(name, pretrained=False, levels=[16], join=16)
    assert parameters(model) / 1e6 == pytest.approx(millions, abs=0.06)
    assert len(model.backbone.model.blocks) == 12
    assert len(model.level_channels) == 1


def test_of_several_levels_with_one_stride_the_deepest_is_taken():
    torch.manual_seed(0)
    model = TimmEncoder("test_vit", pretrained=False, levels=[16], join=16).eval()
    torch.manual_seed(0)
    whole = timm.create_model("test_vit", pretrained=False, dynamic_img_size=True).eval()
    whole.load_state_dict(model.backbone.model.state_dict(), strict=False)
    images = torch.randn(1, 3, 96, 64)
    with torch.inference_mode():
        last = whole.forward_intermediates(images, indices=[5], intermediates_only=True)[0]
        torch.testing.assert_close(features_of(model, images), last)


@pytest.mark.parametrize("size", [(224, 240), (160, 160), (96, 400)])
def test_a_vit_of_one_size_takes_others(size):
    model = TimmEncoder("test_vit", pretrained=False, levels=[16], join=16).eval()
    assert (model.stride, model.size_divisor) == (16, 16)
    with torch.inference_mode():
        assert features_of(model, torch.randn(1, 3, *size)).shape == (1, 64, size[0] // 16, size[1] // 16)


@pytest.mark.parametrize(
    ("name", "levels"), [("hrnet_w18_small", [4]), ("hrnet_w18_small", [4, 8]), ("hieradet_small", [4, 8])]
)
def test_images_are_as_large_as_the_coarsest_level_inside_needs(name, levels):
    model = TimmEncoder(name, pretrained=False, levels=levels).eval()
    assert (model.stride, model.size_divisor) == (4, 32)
    with torch.inference_mode():
        assert features_of(model, torch.randn(1, 3, 32, 96)).shape == (1, model.out_channels, 8, 24)
    with pytest.raises(UsageError, match=r"multiples of 32, got \(1, 3, 224, 240\)"):
        model(torch.randn(1, 3, 224, 240))


@pytest.mark.slow
def test_windows_that_do_not_pad_ask_for_whole_ones():
    with torch.device("meta"):
        assert TimmEncoder("maxvit_pico_rw_256", pretrained=False).size_divisor == 8 * 32


@pytest.mark.parametrize(("name", "side"), [("hiera_tiny_224", 224), ("coatnet_nano_rw_224", 224)])
def test_a_model_of_one_size_only_is_refused_with_others_to_take(name, side):
    with pytest.raises(UsageError, match=rf"takes images of {side} x {side} pixels only.*hieradet_small"):
        TimmEncoder(name, pretrained=False)


def test_swin_takes_any_size_and_its_prompt_modules_start_as_nothing():
    torch.manual_seed(0)
    model = TimmEncoder("swin_tiny_patch4_window7_224", pretrained=False, join=8).eval()
    images = torch.randn(1, 3, 96, 160)
    with torch.inference_mode():
        plain = features_of(model, images)
        assert plain.shape == (1, 96 + 192 + 384 + 768, 12, 20)
        adapted = attach(model, "prompt", bottleneck=8)
        torch.testing.assert_close(features_of(adapted, images), plain)
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert len(trained) == 4 * 2 * 12  # two layers with weight and bias, behind attention and MLP of twelve blocks
    assert all("mprompt_" in name for name in trained)


def test_a_frozen_swin_gives_the_same_features_in_every_training_step():
    torch.manual_seed(0)
    model = TimmEncoder("swin_tiny_patch4_window7_224", pretrained=False, join=32).train()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), model(images))


def test_levels_that_a_model_does_not_have_are_refused():
    with pytest.raises(UsageError, match=r"strides \[2, 4, 8, 16, 32\]; one at 3 is needed"):
        TimmEncoder("resnet10t", pretrained=False, levels=[8, 3])


def test_only_hrnets_stem_can_be_changed():
    with pytest.raises(UsageError, match="stem_stride"):
        TimmEncoder("resnet10t", pretrained=False, stem_stride=1)


def test_an_unknown_model_gets_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'hrnet_w40'"):
        TimmEncoder("hrnet_w400", pretrained=False)


def test_a_model_without_a_stride_4_level_is_refused():
    with pytest.raises(UsageError, match=r"strides \[16\]; one at 4 is needed"):
        TimmEncoder("vit_tiny_patch16_224", pretrained=False)


def test_weights_that_cannot_be_fetched_say_how_to_go_on(monkeypatch):
    create = timm.create_model

    def offline(*arguments, pretrained, **options):
        if pretrained:
            raise OSError("no route to host")
        return create(*arguments, pretrained=pretrained, **options)

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(UsageError, match=r"model\.weights.*model\.pretrained = false"):
        TimmEncoder("resnet10t", pretrained=True)


def published(name, path, **changes):
    """Write what timm publishes: the whole model's tensors, its classifier included."""
    torch.manual_seed(5)
    tensors = dict(timm.create_model(name, pretrained=False).state_dict())
    tensors |= changes
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items() if tensor is not None}
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "options", "left_out"),
    [
        ("resnet10t", {}, ("fc.bias", "fc.weight")),
        (
            "test_vit",
            {"levels": [16], "join": 16},
            ("fc_norm.bias", "head.bias", "head.weight", "norm.bias", "norm.weight"),
        ),
        pytest.param("hrnet_w18_small", {}, None, marks=pytest.mark.slow),
        pytest.param("swin_tiny_patch4_window7_224", {"levels": [4, 8]}, None, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file_are_those_that_timm_would_load(name, options, left_out, suffix, tmp_path):
    file = published(name, tmp_path / f"weights{suffix}")
    model = TimmEncoder(name, pretrained=True, weights=file, **options)
    indices = [level["index"] for level in model.backbone.feature_info.get_dicts()]
    own = {"feature_location": ""} if name.startswith("hrnet") else {}
    by_timm = timm.create_model(
        name,
        pretrained=True,
        features_only=True,
        pretrained_cfg_overlay={"file": file},
        out_indices=indices,
        **own,
    )
    assert fingerprint(model.backbone.state_dict()) == fingerprint(by_timm.state_dict())
    assert model.left_out
    if left_out is not None:
        assert set(left_out) >= set(model.left_out)
        assert {"head.weight", "fc.weight"} & set(model.left_out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer1.0.conv1.weight": None}, "1 missing: layer1.0.conv1.weight"),
        ({"layer1.0.conv1.weight": torch.ones(3, 3)}, r"reshaped: layer1.0.conv1.weight is \(3, 3\) instead of"),
        ({"density.weight": torch.ones(3)}, "does not have: density.weight"),
        ({"layer1.0.conv1.weight": torch.full((64, 64, 3, 3), torch.nan)}, "not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(changes, message, tmp_path):
    file = published("resnet10t", tmp_path / "weights.safetensors", **changes)
    with pytest.raises(UsageError, match=message) as refused:
        TimmEncoder("resnet10t", pretrained=False, weights=file)
    assert "weights.safetensors" in str(refused.value)


def test_a_file_from_before_batches_were_counted_loads(tmp_path):
    old = {"bn1.num_batches_tracked": None}
    first = TimmEncoder("resnet10t", pretrained=False, weights=published("resnet10t", tmp_path / "old.pth", **old))
    second = TimmEncoder("resnet10t", pretrained=False, weights=published("resnet10t", tmp_path / "new.pth"))
    assert fingerprint(first.state_dict()) == fingerprint(second.state_dict())


def test_a_missing_file_of_weights_is_named():
    with pytest.raises(UsageError, match=r"No checkpoint file at 'nowhere.safetensors'"):
        TimmEncoder("resnet10t", pretrained=False, weights="nowhere.safetensors")


def test_blocks_of_32_pixels_are_cells_of_a_pyramid_and_too_coarse_for_finer_features():
    encoder = TimmEncoder("resnet10t", pretrained=False, join=32)
    model = TimmModel(encoder="timm", base="resnet10t", density_stride=32)
    counter = CrowdCounter(encoder, model, segmenter=False, bins=3).eval()
    assert counter(torch.zeros(1, 3, 128, 64)).density.shape == (1, 1, 4, 2)
    with pytest.raises(UsageError, match=r"model\.density_stride"):
        CrowdCounter(TimmEncoder("resnet10t", pretrained=False), model, segmenter=False)
