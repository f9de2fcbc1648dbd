from importlib import import_module

import peft
import pytest
import torch
from peft import PeftModel
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import PeftType, register_peft_method
from segment_anything.modeling.image_encoder import ImageEncoderViT
from small_encoders import features_of, fill_adapter, images, loss_of, our_sam, small_sam, small_swin, small_vit
from torch import nn

from sam_mprompt.errors import UsageError
from sam_mprompt.tuning.prompt_tuner import PEFT_TYPE, PromptConfig, PromptLayer, PromptModel
from sam_mprompt.tuning.selection import base_tensors

ENCODERS = [small_sam, our_sam, small_vit, small_swin]


def tuned(encoder, name="default", **values):
    return PeftModel(encoder, PromptConfig(bottleneck=4, **values), name)


@pytest.mark.parametrize("make", ENCODERS)
def test_a_fresh_prompt_module_leaves_the_encoder_exactly_as_it_was(make):
    expected = features_of(make())
    encoder = tuned(make())
    assert torch.equal(features_of(encoder), expected)
    layers = [module for module in encoder.modules() if isinstance(module, PromptLayer)]
    assert len(layers) == 2 * (4 if make is small_swin else 2)


@pytest.mark.parametrize("make", ENCODERS)
def test_a_trained_prompt_module_changes_the_output(make):
    encoder = tuned(make())
    expected = features_of(encoder)
    fill_adapter(encoder, "default")
    assert not torch.allclose(features_of(encoder), expected, atol=1e-2)


def test_the_output_is_the_sublayer_plus_the_bottleneck_of_its_output():
    linear = nn.Linear(3, 5)
    layer = PromptLayer(linear)
    layer.update_layer("default", PromptConfig(bottleneck=2))
    fill_adapter(layer, "default")
    x = torch.randn(2, 4, 3)
    y = linear(x)
    down, up = layer.mprompt_down["default"], layer.mprompt_up["default"]
    expected = y + nn.functional.gelu(y @ down.weight.T + down.bias) @ up.weight.T + up.bias
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_sam_base_with_bottleneck_192_has_7_10_million_prompt_parameters():
    with torch.device("meta"):
        encoder = ImageEncoderViT(depth=12, embed_dim=768, num_heads=12, out_chans=256, window_size=14)
    trainable, _ = PeftModel(encoder, PromptConfig(), "default").get_nb_trainable_parameters()
    assert trainable == 12 * 2 * (768 * 192 + 192 + 192 * 768 + 768)
    assert 7.09e6 < trainable < 7.11e6


@pytest.mark.parametrize("make", ENCODERS)
def test_up_learns_from_the_first_step_and_everything_from_the_second(make):
    encoder = tuned(make())
    trained = {name: parameter for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("mprompt_" in name for name in trained)
    base = {name: tensor.clone() for name, tensor in base_tensors(encoder).items()}
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        loss_of(encoder(images())).backward()
        for name, parameter in trained.items():
            learns = bool((parameter.grad != 0).any())
            assert learns == (step == 1 or "mprompt_up" in name), name
        optimizer.step()
    after = base_tensors(encoder)
    assert all(torch.equal(tensor, after[name]) for name, tensor in base.items())
    assert all(parameter.grad is None for name, parameter in encoder.named_parameters() if name not in trained)


@pytest.mark.parametrize("make", ENCODERS)
def test_autocast_keeps_the_identity_and_lets_gradients_through(make):
    plain, encoder = make(), tuned(make())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(features_of(encoder), features_of(plain))
        loss_of(encoder(images())).backward()
    gradients = [p.grad for name, p in encoder.named_parameters() if "mprompt_up" in name]
    assert all(gradient.dtype == torch.float32 and (gradient != 0).any() for gradient in gradients)


def test_a_half_precision_sublayer_keeps_its_dtype_and_gets_float32_modules():
    encoder = tuned(small_vit().half())
    fill_adapter(encoder, "default")
    assert encoder(images().half()).dtype == torch.float16
    assert {p.dtype for name, p in encoder.named_parameters() if "mprompt_" in name} == {torch.float32}


def test_adapters_on_one_encoder_do_not_touch_each_other():
    encoder = tuned(small_sam(), "station")
    fill_adapter(encoder, "station", seed=1)
    station = encoder(images())
    encoder.add_adapter("gate", PromptConfig(bottleneck=6, target_modules=r"blocks\.1\.mlp"))
    assert torch.equal(encoder(images()), station)
    fill_adapter(encoder, "gate", seed=2)
    assert torch.equal(encoder(images()), station)

    encoder.set_adapter("gate")
    gate = encoder(images())
    assert not torch.allclose(gate, station)
    assert {name.split(".")[-2] for name, p in encoder.named_parameters() if p.requires_grad} == {"gate"}
    encoder.set_adapter("station")
    assert torch.equal(encoder(images()), station)
    encoder.delete_adapter("gate")
    assert torch.equal(encoder(images()), station)
    assert not [name for name, _ in encoder.named_parameters() if ".gate." in name]


def test_several_active_adapters_add_up():
    layer = PromptLayer(nn.Linear(3, 3))
    x = torch.randn(2, 3)
    for seed, name in enumerate(("one", "two")):
        layer.update_layer(name, PromptConfig(bottleneck=2))
        fill_adapter(layer, name, seed)
    outputs = {}
    for active in (["one"], ["two"], ["one", "two"]):
        layer.set_adapter(active)
        outputs[len(active), active[0]] = layer(x) - layer.base_layer(x)
    assert torch.allclose(outputs[2, "one"], outputs[1, "one"] + outputs[1, "two"], atol=1e-5)


def test_disabled_and_unloaded_prompt_modules_leave_the_bare_encoder():
    expected = small_sam()(images())
    encoder = tuned(small_sam())
    fill_adapter(encoder, "default")
    with encoder.disable_adapter():
        assert torch.equal(encoder(images()), expected)
    assert not torch.allclose(encoder(images()), expected)
    bare = encoder.unload()
    assert torch.equal(bare(images()), expected)
    assert bare.state_dict().keys() == small_sam().state_dict().keys()


@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_merging_is_refused_with_the_reason_and_changes_nothing(merge):
    encoder = tuned(small_sam())
    fill_adapter(encoder, "default")
    expected = encoder(images())
    with pytest.raises(UsageError, match=r"cannot be merged.*GELU.*lora"):
        getattr(encoder, merge)()
    assert torch.equal(encoder(images()), expected)


def test_adapter_names_per_sample_are_refused_and_not_ignored():
    encoder = tuned(small_sam())
    with pytest.raises(UsageError, match="whole batch"):
        encoder(images(), adapter_names=["default", "default"])


def test_a_sublayer_gets_all_its_arguments_and_stays_readable():
    class Sub(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 3.0
            self.proj = nn.Linear(4, 4)

        def forward(self, x, mask=None, *, twice=False):
            return self.proj(x) * mask * (2 if twice else 1)

    sub = Sub()
    layer = PromptLayer(sub)
    layer.update_layer("default", PromptConfig(bottleneck=2))
    x, mask = torch.randn(2, 4), torch.tensor(0.5)
    assert torch.equal(layer(x, mask, twice=True), sub(x, mask, twice=True))
    assert torch.equal(layer(x=x, mask=mask), sub(x, mask))
    assert layer.scale == 3.0
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = layer.nothing_of_the_kind


def test_a_sublayer_without_a_linear_layer_is_refused_by_name():
    with pytest.raises(
        UsageError, match=r"'patch_embed' cannot take a prompt module: PatchEmbed contains no nn.Linear"
    ):
        tuned(small_sam(), target_modules=r"patch_embed")


@pytest.mark.parametrize("bottleneck", [0, -3, 2.5, "8", True, None])
def test_a_bottleneck_that_is_no_positive_integer_is_refused(bottleneck):
    with pytest.raises(UsageError, match=r"bottleneck: expected a positive integer, got"):
        PromptConfig(bottleneck=bottleneck)


def test_peft_saves_and_loads_prompt_modules_without_asking_a_hub(tmp_path, monkeypatch):
    def hub(*args, **kwargs):
        raise AssertionError("a hub was asked")

    for module in ("peft.config", "peft.utils.save_and_load", "peft.peft_model"):
        for function in ("hf_hub_download", "check_file_exists_on_hf_hub", "file_exists"):
            if hasattr(import_module(module), function):
                monkeypatch.setattr(f"{module}.{function}", hub)
    encoder = tuned(small_sam(), target_modules=r"blocks\.\d+\.attn")
    fill_adapter(encoder, "default")
    encoder.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(small_sam(), str(tmp_path))
    assert torch.equal(loaded(images()), encoder(images()))
    config = loaded.peft_config["default"]
    assert isinstance(config, PromptConfig)
    assert (config.bottleneck, config.target_modules) == (4, r"blocks\.\d+\.attn")
    assert config.base_model_name_or_path is None
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    loaded.load_adapter(str(tmp_path), "again", is_trainable=True)
    loaded.set_adapter("again")
    assert torch.equal(loaded(images()), encoder(images()))


def test_peft_still_keeps_the_tables_that_we_extend():
    """When this fails, peft finds tuners in another way: adapt the end of tuning/prompt_tuner.py and peft's range."""
    tables = (PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING)
    assert [table[PEFT_TYPE] for table in tables] == [PromptConfig, PromptModel, PromptModel.prefix]
    assert peft.peft_model.PEFT_TYPE_TO_TUNER_MAPPING is PEFT_TYPE_TO_TUNER_MAPPING
    assert peft.utils.save_and_load.PEFT_TYPE_TO_TUNER_MAPPING is PEFT_TYPE_TO_TUNER_MAPPING
    assert peft.tuners.tuners_utils.PEFT_TYPE_TO_PREFIX_MAPPING is PEFT_TYPE_TO_PREFIX_MAPPING
    assert PEFT_TYPE not in list(PeftType)
    assert list(PEFT_TYPE_TO_PREFIX_MAPPING.values()).count(PromptModel.prefix) == 1
    with pytest.raises(ValueError, match="Unknown PEFT type"):  # the front door, which would be the better one
        register_peft_method(name="mprompt", config_cls=PromptConfig, model_cls=PromptModel)
