import copy
import importlib.util
import re
import warnings
from types import MappingProxyType

import peft
import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from small_encoders import features_of, fill_adapter, images, loss_of, our_sam, small_sam, small_swin, small_vit
from torch import nn

from sam_mprompt.adapter.peft_layout import adapter_state, load_adapter_state
from sam_mprompt.errors import UsageError
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import (
    BARE,
    adapter_config,
    add_adapter,
    attach,
    disable,
    merge,
    methods,
    remove,
    report,
    switch,
    tuner_config,
)
from sam_mprompt.tuning.prompt import PromptConfig, PromptLayer
from sam_mprompt.tuning.selection import base_tensors, target_modules

# They rotate or decompose the weights, which leaves rounding behind; all others promise the base itself.
UP_TO_ROUNDING = {"boft", "deft", "frod", "hra", "osf"}
FOR_SMALL_LAYERS = {
    "c3a": {"block_size": 16},
    "fourierft": {"n_frequency": 50},
    "waveft": {"n_frequency": 50},
    **dict.fromkeys(("hira", "lily", "miss", "peanut", "psoft", "shira"), MappingProxyType({"r": 4})),
}
OF_PEFT = [name for name in methods() if name not in BARE]


class TokenNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(16)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


def tune(encoder, method="prompt", **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attach(encoder, method, bottleneck=arguments.pop("bottleneck", 4), **arguments)


def adapted(encoder):
    return {
        name.removeprefix("base_model.model.")
        for name, module in encoder.named_modules()
        if isinstance(module, BaseTunerLayer)
    }


def step(encoder, learning_rate=0.01):
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=learning_rate)
    loss_of(encoder(images())).backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.filterwarnings("ignore")  # what peft's methods remark about themselves
@pytest.mark.parametrize("method", OF_PEFT)
def test_every_method_starts_as_the_base_trains_beside_it_and_comes_back_from_its_state(method):
    if method == "adamss" and importlib.util.find_spec("sklearn") is None:
        pytest.skip("adamss needs scikit-learn")
    options = FOR_SMALL_LAYERS.get(method, {})
    bare = small_sam(dim=64)
    expected, before = bare(images()), {name: tensor.clone() for name, tensor in bare.state_dict().items()}
    encoder = tune(bare, method, options=options)
    result = encoder(images())
    if method in UP_TO_ROUNDING:
        assert torch.allclose(result, expected, atol=1e-5)
    else:
        assert torch.equal(result, expected)

    for _ in range(2):
        step(encoder)
    trained = encoder(images())
    assert not torch.allclose(trained, result, atol=1e-4)
    after = base_tensors(encoder)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with disable(encoder):
        assert torch.allclose(encoder(images()), expected, atol=1e-5 if method in UP_TO_ROUNDING else 0)

    other = tune(small_sam(dim=64), method, options=options)
    load_adapter_state(other, adapter_state(encoder))
    assert torch.equal(other(images()), trained)


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


def test_lora_hits_the_linear_layers_of_blocks_and_never_the_patch_embedding():
    linears = {"attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"}
    assert adapted(tune(small_sam(), "lora")) == {f"blocks.{n}.{linear}" for n in (0, 1) for linear in linears}
    linears = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"}
    assert adapted(tune(small_vit(), "lora")) == {f"blocks.{n}.{linear}" for n in (0, 1) for linear in linears}
    in_stages = {f"layers.{s}.blocks.{n}.{linear}" for s in (0, 1) for n in (0, 1) for linear in linears}
    assert adapted(tune(small_swin(), "lora")) == in_stages


def test_an_encoder_inside_another_module_is_adapted_as_well():
    wrapped = nn.ModuleDict({"model": small_sam()})
    assert re.fullmatch(target_modules(wrapped, "prompt", ["mlp"], "all"), "model.blocks.1.mlp")
    assert not re.fullmatch(target_modules(wrapped, "prompt", ["mlp"], [0]), "model.blocks.1.mlp")


def test_placement_and_blocks_choose_what_is_adapted():
    assert adapted(tune(small_sam(), placement=["mlp"], blocks=[1])) == {"blocks.1.mlp"}
    assert adapted(tune(small_sam(depth=12), placement=("attention",), blocks=(1, 11))) == {
        "blocks.1.attn",
        "blocks.11.attn",
    }
    assert adapted(tune(small_sam(), "lora", placement=["attention"])) == {
        f"blocks.{n}.attn.{linear}" for n in (0, 1) for linear in ("qkv", "proj")
    }
    assert adapted(tune(small_sam(), "ln_tuning", placement=["mlp"])) == {"blocks.0.norm2", "blocks.1.norm2"}
    assert adapted(tune(small_sam(), "ia3", blocks=[0])) == {"blocks.0.attn.qkv", "blocks.0.mlp.lin2"}


def test_blocks_are_counted_through_all_stages_of_a_swin():
    encoder = tune(small_swin(), blocks=[1, 2])
    assert adapted(encoder) == {
        f"layers.{place}.{sub}" for place in ("0.blocks.1", "1.blocks.0") for sub in ("attn", "mlp")
    }


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


def test_the_report_counts_base_adapters_and_heads_apart():
    encoder = tune(small_sam())
    model = nn.ModuleDict({"encoder": encoder, "regressor": nn.Linear(3, 2), "tied": nn.Module()})
    model["tied"].weight = model["regressor"].weight
    counted = report(model)
    base = sum(tensor.numel() for tensor in small_sam().parameters())
    adapter = 4 * (2 * 16 * 4 + 4 + 16)
    assert counted.by_part == {"encoder": (0, base), "encoder adapter": (adapter, adapter), "regressor": (8, 8)}
    assert (counted.trainable, counted.total) == (adapter + 8, base + adapter + 8)
    assert str(counted) == (
        f"600 of {base / 1000 + 0.6:.3g} k parameters train ({100 * 600 / (base + 600):.1f} %): encoder 0 of "
        f"{base / 1000:.3g} k, encoder adapter 592 of 592, regressor 8 of 8"
    )
    in_base = {"pos_embed", "patch_embed", "blocks", "neck"}
    assert report(encoder).by_part.keys() == in_base | {"blocks adapter"}


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
