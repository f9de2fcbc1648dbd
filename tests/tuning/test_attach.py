import copy
import re

import peft
import pytest
import torch
from small_encoders import (
    features_of,
    fill_adapter,
    images,
    loss_of,
    our_sam,
    small_sam,
    small_swin,
    small_swin_cr,
    small_vit,
)
from torch import nn
from tuned import adapted, step, tune

from sam_mprompt.adapter.peft_layout import adapter_state
from sam_mprompt.errors import UsageError
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.adapters import adapter_config, disable, switch
from sam_mprompt.tuning.attach import add_adapter, attach, tuner_config
from sam_mprompt.tuning.prompt_tuner import PromptConfig, PromptLayer
from sam_mprompt.tuning.selection import base_tensors


class TokenNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(16)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize("method", ["prompt", "lora", "dora"])
@pytest.mark.parametrize("make", [small_sam, our_sam, small_vit, small_swin])
def test_prompt_modules_and_lora_work_on_every_encoder(make, method):
    expected = features_of(make())
    encoder = tune(make(), method)
    assert torch.equal(features_of(encoder), expected)
    step(encoder)
    loss_of(encoder(images())).backward()
    trained = [(name, p) for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained
    assert not [name for name, p in trained if p.grad is None or not (p.grad != 0).any()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": [2]}, r"tuning.blocks: expected 'all' or numbers from 0 to 1, got \[2\]"),
        ({"blocks": [-1]}, r"numbers from 0 to 1, got \[-1\]"),
        ({"blocks": []}, r"numbers from 0 to 1, got \[\]"),
        ({"blocks": "last"}, r"expected 'all' or a list of numbers, got 'last'"),
        ({"placement": ["atention"]}, r"got 'atention'. Did you mean 'attention'\?"),
        ({"placement": []}, r"tuning.placement: expected 'attention', 'mlp' or both"),
        ({"method": "promt"}, r"got 'promt'. Did you mean 'prompt'\? Choose one of: prompt, none, side, full, "),
        ({"method": "oft"}, r"'oft' is not for image encoders: it cannot read SAM's features.*Choose one of"),
        ({"method": "adalora"}, r"'adalora' is not for image encoders: the training loop"),
        ({"method": "lora", "options": {"rank": 3}}, r"'lora' has no option 'rank'.*It has: .*\br\b"),
        ({"method": "lora", "options": {"lora_alfa": 3}}, r"no option 'lora_alfa'. Did you mean 'lora_alpha'\?"),
        ({"method": "lora", "options": {"base_model_name_or_path": "x"}}, r"no option 'base_model_name_or_path'"),
        ({"method": "lora", "options": {"r": 0}}, r"peft cannot attach 'lora': .*r"),
        ({"method": "lora", "options": {"r": "eight"}}, r"peft cannot attach 'lora'"),
        ({"method": "lora", "options": {"bias": "all"}}, r"bias: expected 'none', got 'all': it trains the base"),
        ({"method": "lora", "options": {"init_lora_weights": "pissa"}}, r"rewrites the base.*default initialisation"),
        (
            {"method": "lora", "options": {"target_modules": r"x"}},
            r"peft cannot attach 'lora': Target modules x not found",
        ),
        ({"method": "lora", "options": {"target_modules": r"x"}, "blocks": [0]}, r"both say which layers"),
        ({"bottleneck": 0}, r"bottleneck: expected a positive integer, got 0"),
        ({"method": "none", "options": {"r": 3}}, r"tuning.options: 'none' takes none, got r"),
    ],
)
def test_wrong_requests_are_refused_with_what_was_expected(arguments, message):
    with pytest.raises(UsageError, match=message):
        tune(small_sam(), **arguments)


def test_an_encoder_without_transformer_blocks_is_refused():
    with pytest.raises(UsageError, match=r"'prompt' adapts transformer blocks.*Sequential has none.*'full'"):
        attach(nn.Sequential(nn.Conv2d(3, 4, 1)))


def test_options_choose_their_own_layers():
    encoder = tune(small_sam(), "lora", options={"target_modules": r"blocks\.0\.attn\.qkv", "r": 3, "lora_alpha": 6})
    assert adapted(encoder) == {"blocks.0.attn.qkv"}
    assert adapter_config(encoder).r == 3
    prompts = tune(small_sam(), options={"modules_to_save": ["neck"]})
    expected = small_sam()(images())
    assert torch.equal(prompts(images()), expected)
    assert any("neck" in name for name in adapter_state(prompts))
    step(prompts)
    assert all(torch.equal(base_tensors(prompts)[name], tensor) for name, tensor in small_sam().state_dict().items())


def test_none_and_side_freeze_and_full_opens_everything():
    assert not any(parameter.requires_grad for parameter in attach(small_sam(), "side").parameters())
    frozen = attach(small_sam(), "none")
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    opened = attach(frozen, "full")
    assert all(parameter.requires_grad for parameter in opened.parameters())
    with pytest.raises(UsageError, match="needs a bare encoder"):
        attach(tune(small_sam()), "none")


@pytest.mark.parametrize("method", ["none", "lora"])
def test_running_statistics_of_a_frozen_encoder_stay_in_training(method):
    bare = small_vit()
    bare.patch_embed.norm = TokenNorm()
    bare.eval()
    before = copy.deepcopy(bare.state_dict())
    expected = bare(images())
    encoder = copy.deepcopy(tune(bare, method)).train()
    assert torch.equal(encoder(images()), expected)
    after = base_tensors(encoder)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_an_adapter_added_for_counting_never_gets_gradients():
    encoder = add_adapter(small_sam(), PromptConfig(bottleneck=2), "station")
    add_adapter(encoder, PromptConfig(bottleneck=2), "gate")
    for name in ("gate", "station"):
        switch(encoder, name)
        assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_an_added_adapter_takes_over_the_mode_of_the_encoder(training):
    encoder = add_adapter(small_sam().train(training), tuner_config(small_sam(), "lora", options={"lora_dropout": 0.9}))
    fill_adapter(encoder, "default")
    assert torch.equal(encoder(images()), encoder(images())) is not training
    assert {module.training for module in encoder.modules()} == {training}


@pytest.mark.parametrize(
    "name",
    ["", "a.b", "1", "blocks", "attn", "weight", "base_layer", "eval", "items", "prompt", "mprompt_x", "pos_embed"],
)
def test_names_that_peft_or_torch_would_mix_up_are_refused(name):
    with pytest.raises(UsageError, match=re.escape(f"'{name}' cannot name an adapter")):
        tune(small_sam(), adapter_name=name)


def test_a_taken_name_and_a_second_kind_are_refused_and_the_first_adapter_counts_on():
    encoder = tune(small_sam(), adapter_name="station")
    fill_adapter(encoder, "station")
    expected = encoder(images())
    with pytest.raises(UsageError, match="already has an adapter 'station'"):
        tune(encoder, adapter_name="station")
    with pytest.raises(UsageError, match=r"'gate' is a 'lora' adapter.*carries adapters of 'prompt'"):
        tune(encoder, "lora", adapter_name="gate")
    assert torch.equal(encoder(images()), expected)


@pytest.mark.parametrize("options", [{"init_lora_weights": "nonsense"}, {"bias": "all"}, {"target_modules": "nowhere"}])
def test_an_adapter_that_fails_leaves_a_tuned_encoder_as_it_was(options):
    encoder = tune(small_sam(), "lora", adapter_name="station")
    fill_adapter(encoder, "station")
    expected, before = encoder(images()), encoder.state_dict()
    with pytest.raises(UsageError):
        tune(encoder, "lora", adapter_name="gate", options=options)
    assert torch.equal(encoder(images()), expected)
    assert encoder.state_dict().keys() == before.keys()
    tune(encoder, "lora", adapter_name="gate")
    switch(encoder, "gate")


def test_the_tuned_encoder_passes_the_encoders_attributes_and_methods_through():
    encoder = tune(our_sam())
    assert (encoder.out_channels, encoder.stride, encoder.size_divisor, encoder.mean) == (8, 16, 16, SamEncoder.mean)
    fill_adapter(encoder, "default")
    assert torch.equal(encoder(images(), levels=True)[-1], features_of(encoder))
    with disable(encoder):
        assert torch.equal(encoder(images(), levels=True)[-1], features_of(our_sam()))


def test_every_prompt_layer_sits_behind_a_sublayer_of_the_base():
    layers = [module for module in tune(small_sam()).modules() if isinstance(module, PromptLayer)]
    assert {type(layer.base_layer).__name__ for layer in layers} == {"Attention", "MLPBlock"}
    assert peft.PeftModel in type(tune(small_sam())).__mro__


def test_an_attention_that_does_not_end_in_the_layer_that_we_find_is_refused_while_attaching():
    with pytest.raises(
        UsageError, match=r"'stages\.0\.blocks\.0\.attn' cannot take .* meta_mlp\.fc2, .*'lora'"
    ) as refused:
        attach(small_swin_cr(), "prompt", bottleneck=4)
    assert "makes 2 features of the block's 16" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("method", "placement"), [("prompt", ["mlp"]), ("lora", ["attention", "mlp"])])
def test_what_the_refusal_names_works_there(method, placement):
    encoder = tune(small_swin_cr(), method, placement=placement)
    assert torch.equal(encoder(images()), small_swin_cr()(images()))
