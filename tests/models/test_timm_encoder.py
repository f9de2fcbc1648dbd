import pytest
import torch

from sam_mprompt.errors import UsageError
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.timm_encoder import TimmEncoder
from sam_mprompt.recipe.schema import SamModel
from sam_mprompt.tuning.attach import attach


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return TimmEncoder("resnet10t", pretrained=False).eval()


def test_all_levels_from_stride_4_on_are_joined_at_stride_4(encoder):
    features = encoder(torch.randn(1, 3, 64, 96))
    assert features.shape == (1, encoder.out_channels, 16, 24)
    assert encoder.out_channels == sum(encoder.level_channels)
    assert len(encoder.level_channels) == 4


def test_a_counter_stands_on_it_at_stride_4_and_finer(encoder):
    for stride in (4, 2):
        model = CrowdCounter(encoder, SamModel(density_stride=stride, gate="segmenter"), segmenter=True)
        assert model(torch.randn(2, 3, 64, 64)).density.shape == (2, 1, 64 // stride, 64 // stride)


def test_levels_are_joined_at_the_densitys_stride_when_that_is_coarser():
    torch.manual_seed(0)
    model = TimmEncoder("resnet10t", pretrained=False, join=8).eval()
    assert (model.stride, model.size_divisor) == (8, 32)
    assert model(torch.randn(1, 3, 64, 96)).shape == (1, model.out_channels, 8, 12)
    flat = model(torch.zeros(1, 3, 64, 64))[:, :64]  # the stride-4 level, averaged
    finest = model.backbone(torch.zeros(1, 3, 64, 64))[0]
    torch.testing.assert_close(flat.mean((2, 3)), finest.mean((2, 3)))


@pytest.mark.parametrize(("stem_stride", "stride"), [(2, 4), (1, 2)])
def test_hrnets_own_branches_are_joined_and_its_stem_sets_their_resolution(stem_stride, stride):
    model = TimmEncoder("hrnet_w18_small", pretrained=False, stem_stride=stem_stride, join=stride).eval()
    assert model.level_channels == [16, 32, 64, 128]
    assert (model.stride, model.size_divisor) == (stride, 8 * stride)
    with torch.inference_mode():
        assert model(torch.randn(1, 3, 64, 96)).shape == (1, 240, 64 // stride, 96 // stride)


def test_vgg19_up_to_stride_8_is_what_the_paper_counts():
    model = TimmEncoder("vgg19_bn", pretrained=False, levels=[8], join=8).eval()
    assert (model.level_channels, model.stride, model.size_divisor) == ([512], 8, 8)
    assert 10.5e6 < sum(parameter.numel() for parameter in model.parameters()) < 10.7e6  # nothing behind conv4_4


def test_swin_takes_any_size_and_its_prompt_modules_start_as_nothing():
    torch.manual_seed(0)
    model = TimmEncoder("swin_tiny_patch4_window7_224", pretrained=False, join=8).eval()
    images = torch.randn(1, 3, 96, 160)
    with torch.inference_mode():
        plain = model(images)
        assert plain.shape == (1, 96 + 192 + 384 + 768, 12, 20)
        adapted = attach(model, "prompt", bottleneck=8)
        torch.testing.assert_close(adapted(images), plain)
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
    with pytest.raises(UsageError, match="one at 4 is needed"):
        TimmEncoder("vit_tiny_patch16_224", pretrained=False)


def test_weights_that_cannot_be_fetched_say_how_to_go_on(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(UsageError, match=r"model\.pretrained=false"):
        TimmEncoder("resnet10t", pretrained=True)
