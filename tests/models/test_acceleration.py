import copy

import numpy as np
import pytest
import torch

import sam_mprompt
from sam_mprompt.data.dataset import Batch
from sam_mprompt.errors import UsageError
from sam_mprompt.losses import Targets
from sam_mprompt.models.acceleration import (
    channels_last,
    compile_encoder,
    enable_gradient_checkpointing,
)
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.models.timm_encoder import TimmEncoder
from sam_mprompt.recipe.model import SamModel
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.tuning.attach import attach

SMALL = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16, grid=20)


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def prompt_gradients(encoder, images):
    encoder.zero_grad()
    encoder(images)[0].pow(3).mean().backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


def prompted():
    """A small encoder whose prompt modules have left their start."""
    encoder = attach(SamEncoder.random(SMALL), "prompt", bottleneck=4)
    with torch.no_grad():
        for seed, parameter in enumerate(p for p in encoder.parameters() if p.requires_grad):
            parameter.copy_(0.1 * seeded(*parameter.shape, seed=seed))
    return encoder


def test_a_timm_encoder_that_recomputes_has_the_same_gradients():
    torch.manual_seed(0)
    encoder = TimmEncoder("resnet10t", pretrained=False).eval()
    other = copy.deepcopy(encoder)
    enable_gradient_checkpointing(other)
    runs = []
    other.backbone.layer1[0].register_forward_pre_hook(lambda *_: runs.append(None))
    images = seeded(1, 3, 64, 64)
    first, second = prompt_gradients(encoder, images), prompt_gradients(other, images)
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        torch.testing.assert_close(second[name], gradient)
    assert len(runs) == 2, "nothing was recomputed"


def test_a_timm_model_that_cannot_recompute_is_named():
    with pytest.raises(UsageError, match="HighResolutionNet"):
        enable_gradient_checkpointing(TimmEncoder("hrnet_w18_small", pretrained=False))


def test_channels_last_changes_the_heads_layout_and_no_output():
    counter = CrowdCounter(SamEncoder.random(SMALL), SamModel(stem_channels=4), segmenter=True).eval()
    images = seeded(2, 3, 64, 64)
    before = counter(images)
    channels_last(counter)
    after = counter(images)
    torch.testing.assert_close(after.density, before.density)
    torch.testing.assert_close(after.mask_logits, before.mask_logits)
    assert counter.regressor.last[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not counter.encoder.neck[2].weight.is_contiguous(memory_format=torch.channels_last)


def test_channels_last_reaches_the_convolutions_of_a_timm_encoder():
    encoder = TimmEncoder("mobilenetv3_small_100", levels=[16], pretrained=False)
    counter = CrowdCounter(encoder, SamModel(density_stride=8), segmenter=True).eval()
    images = seeded(2, 3, 64, 64)
    before = counter(images).density
    channels_last(counter)
    torch.testing.assert_close(counter(images).density, before)
    assert encoder.backbone.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("without", ["available", "enabled"])
def test_without_onednn_layers_stay_as_they_are(monkeypatch, without):
    if without == "available":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    counter = CrowdCounter(SamEncoder.random(SMALL), SamModel(stem_channels=4), segmenter=True)
    with torch.backends.mkldnn.flags(enabled=without != "enabled"):
        channels_last(counter)
    assert not counter.regressor.last[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_is_pinned_whole(monkeypatch):
    pinned = []

    def pin(tensor):
        pinned.append(tensor)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    maps = [torch.full((2, 1, 4, 4), float(i)) for i in range(3)]
    batch = Batch(torch.zeros(2, 3, 8, 8), [(8, 8)] * 2, Targets(*maps), [(0, 1), (0, 2)], torch.ones(2, 5, 2, 2))
    result = torch.utils.data._utils.pin_memory.pin_memory(batch)  # what a DataLoader calls
    assert isinstance(result, Batch)
    assert result.keys == batch.keys
    assert {id(t) for t in pinned} == {id(t) for t in (batch.images, *maps, batch.features)}


@pytest.mark.parametrize("on", [True, False])
def test_a_recipe_switches_each_on(tmp_path, tiny_recipe, crowd_folder, on):
    keys = ("gradient_checkpointing", "compile")
    recipe = load_recipe(tiny_recipe, [f"train.{key}={str(on).lower()}" for key in keys])
    trainer = TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(tmp_path / "run"))
    (encoder,) = (m for m in trainer.counter.modules() if isinstance(m, SamEncoder))
    assert encoder.gradient_checkpointing is on
    assert {block._compiled_call_impl is not None for block in encoder.blocks} == {on}


@pytest.mark.slow
@pytest.mark.usefixtures("cpp_compiler")
def test_compiled_blocks_give_the_same_features_and_gradients():
    plain, compiled = prompted(), prompted()
    images = seeded(2, 3, 240, 320)
    compile_encoder(compiled)
    torch.testing.assert_close(compiled(images), plain(images), rtol=1e-4, atol=1e-4)
    first, second = prompt_gradients(plain, images), prompt_gradients(compiled, images)
    assert first.keys() == second.keys() != set()
    for name, gradient in first.items():
        torch.testing.assert_close(second[name], gradient, rtol=1e-3, atol=1e-6)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.slow
@pytest.mark.usefixtures("cpp_compiler")
def test_a_compiled_counter_counts_the_same_and_still_switches(trained_run, crowd_folder):
    image = crowd_folder / "7.png"
    plain = sam_mprompt.load(trained_run, device="cpu").count(image).density
    counter = sam_mprompt.load(trained_run, device="cpu", compile=True)
    block = next(m for m in counter.model.modules() if isinstance(m, SamEncoder)).blocks[0]
    assert block._compiled_call_impl is not None
    np.testing.assert_allclose(counter.count(image).density, plain, rtol=1e-3, atol=1e-6)
    counter.load_adapter(trained_run, name="again")
    counter.use("again")
    np.testing.assert_allclose(counter.count(image).density, plain, rtol=1e-3, atol=1e-6)
