import pytest
import torch
from small_encoders import fill_adapter, images, small_sam
from tuned import step, tune

from sam_mprompt.errors import UsageError
from sam_mprompt.tuning.adapters import adapter_config, disable, merge, remove, switch
from sam_mprompt.tuning.attach import add_adapter, attach
from sam_mprompt.tuning.prompt_tuner import PromptConfig
from sam_mprompt.tuning.report import report


def test_lora_merges_into_the_base_and_computes_the_same():
    for method in ("lora", "dora"):
        encoder = tune(small_sam(), method)
        for _ in range(2):
            step(encoder, 0.1)
        expected = encoder(images())
        assert not torch.allclose(expected, small_sam()(images()), atol=1e-3)
        merged = merge(encoder)
        assert torch.allclose(merged(images()), expected, atol=1e-5)
        assert merged.state_dict().keys() == small_sam().state_dict().keys()


def test_what_cannot_be_merged_says_so():
    with pytest.raises(UsageError, match="Prompt modules cannot be merged"):
        merge(tune(small_sam()))
    with pytest.raises(UsageError, match="carries no adapters; attach one first"):
        merge(small_sam())


def test_a_disabled_encoder_is_its_base_and_comes_back_also_after_an_error():
    expected = small_sam()(images())
    encoder = tune(small_sam())
    add_adapter(encoder, PromptConfig(bottleneck=2), "gate")
    fill_adapter(encoder, "default")
    active = encoder(images())
    gradients = [parameter.requires_grad for parameter in encoder.parameters()]
    with disable(encoder):
        assert torch.equal(encoder(images()), expected)
    with pytest.raises(KeyError), disable(encoder):
        raise KeyError
    assert torch.equal(encoder(images()), active)
    assert [parameter.requires_grad for parameter in encoder.parameters()] == gradients
    with pytest.raises(UsageError, match="carries no adapters"), disable(small_sam()):
        pass


def test_disabling_a_loaded_adapter_does_not_make_it_trainable():
    encoder = add_adapter(small_sam(), PromptConfig(bottleneck=2))
    with disable(encoder):
        pass
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_adapters_are_added_switched_and_removed():
    encoder = tune(small_sam(), adapter_name="station")
    fill_adapter(encoder, "station", 1)
    station = encoder(images())
    assert attach(encoder, bottleneck=8, blocks=[0], adapter_name="gate") is encoder
    assert torch.equal(encoder(images()), station)
    fill_adapter(encoder, "gate", 2)
    switch(encoder, "gate")
    gate = encoder(images())
    assert not torch.allclose(gate, station)
    assert report(encoder).trainable == 2 * (2 * 16 * 8 + 8 + 16)
    with pytest.raises(UsageError, match="'gate' is active; switch"):
        remove(encoder, "gate")
    switch(encoder, "station")
    assert torch.equal(encoder(images()), station)
    remove(encoder, "gate")
    assert torch.equal(encoder(images()), station)
    assert not [name for name in encoder.state_dict() if ".gate." in name]
    for act in (switch, remove, adapter_config):
        with pytest.raises(UsageError, match=r"no adapter 'staton'. Did you mean 'station'\? It has: station"):
            act(encoder, "staton")
