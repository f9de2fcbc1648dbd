import json
from dataclasses import replace

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tampering import as_version_1, change_counter_file, change_tensors, sign

from sam_mprompt.adapter.folder import CONFIG, RECIPE, AdapterFolder
from sam_mprompt.adapter.loading import add_to, init_from, load_adapter
from sam_mprompt.errors import UsageError
from sam_mprompt.models.build import build_counter
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.recipe.schema import load_recipe


def test_plain_peft_loads_the_prompt_modules(adapter, tiny_base):
    encoder = SamEncoder.from_checkpoint(tiny_base)
    loaded = peft.PeftModel.from_pretrained(encoder, str(adapter)).eval()
    ours = load_adapter(AdapterFolder.read(adapter)).counter.encoder.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        plain = SamEncoder.from_checkpoint(tiny_base).eval()(images)
        assert torch.equal(loaded(images)[0], ours(images)[0])
        assert not torch.equal(plain[0], ours(images)[0])


def test_an_adapter_for_another_base_is_refused(adapter, tmp_path):
    other = SamEncoder.random(
        SamEncoder.from_checkpoint(load_recipe(adapter / "recipe.toml").model.base).config, seed=99
    )
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=r"trained on base .* is another one"):
        load_adapter(AdapterFolder.read(adapter), str(tmp_path / "other.safetensors"))


def test_a_copy_of_the_base_in_another_file_is_accepted(adapter, tiny_base, tmp_path):
    torch.save({f"image_encoder.{k}": v for k, v in load_file(tiny_base).items()}, tmp_path / "copy.pth")
    load_adapter(AdapterFolder.read(adapter), str(tmp_path / "copy.pth"))


def test_missing_unexpected_and_reshaped_keys_are_all_named_in_one_message(adapter):
    def change(tensors):
        del tensors["counter.regressor.output.bias"]
        tensors["counter.surplus"] = torch.zeros(1)
        tensors["counter.regressor.output.weight"] = torch.zeros(1, 7, 1, 1)

    change_tensors(adapter, change)
    with pytest.raises(UsageError) as raised:
        load_adapter(AdapterFolder.read(adapter))
    for name in ("regressor.output.bias", "counter.surplus", "regressor.output.weight is (1, 7, 1, 1)"):
        assert name in str(raised.value)


def test_missing_prompt_modules_are_refused(adapter):
    def change(tensors):
        for name in [name for name in tensors if "blocks.1.mlp" in name]:
            del tensors[name]

    change_tensors(adapter, change)
    with pytest.raises(UsageError, match=r"missing: .*blocks\.1\.mlp"):
        load_adapter(AdapterFolder.read(adapter))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("stride", 8, "stride 8, as its counter.json says, .* with stride 4"),
        ("size_divisor", 32, "size_divisor 32, as its counter.json says, .* with size_divisor 16"),
        ("mean", [0.5, 0.5, 0.5], r"mean \(0\.5, 0\.5, 0\.5\), as its counter.json says, .* with mean \(0\.485"),
        ("std", [0.5, 0.5, 0.5], r"std \(0\.5, 0\.5, 0\.5\), as its counter.json says, .* with std \(0\.229"),
    ],
)
def test_a_network_that_sees_images_otherwise_than_the_file_says_is_refused(adapter, key, value, said):
    change_counter_file(adapter, lambda table: table.update({key: value}))
    with pytest.raises(UsageError, match=said):
        load_adapter(AdapterFolder.read(adapter))


def test_version_1_may_say_less_than_the_network_needs(adapter):
    as_version_1(adapter)
    load_adapter(AdapterFolder.read(adapter))
    change_counter_file(adapter, lambda table: table.update(multiple=8))
    assert load_adapter(AdapterFolder.read(adapter)).counter.size_divisor == 16
    change_counter_file(adapter, lambda table: table.update(multiple=24))
    with pytest.raises(UsageError, match="size_divisor 24"):
        load_adapter(AdapterFolder.read(adapter))


def test_training_does_not_start_from_an_adapter_of_another_method(adapter):
    folder = AdapterFolder.read(adapter)
    recipe = load_recipe(adapter / RECIPE, ["tuning.method=lora"])
    with pytest.raises(UsageError, match=r"tuning\.method = 'lora' as the recipe's, .* has 'prompt'"):
        init_from(folder, build_counter(recipe.model, recipe.tuning, segmenter=False), recipe.tuning.method)


def change_config(adapter, **values):
    """Change what adapter_config.json says, and sign."""
    path = adapter / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    sign(adapter)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"target_modules": "(([a-z0-9._]+)+)+X"},
            "target_modules: expected names of modules, or a regular expression",
        ),
        ({"bottleneck": 10**9}, "bottleneck: expected numbers up to"),
        ({"bottleneck": 10**6}, r"mprompt_down\.bias is \(8,\) instead of \(1000000,\)"),
        ({"modules_to_save": ["nothing"]}, "modules_to_save: the encoder has no module 'nothing'"),
        ({"modules_to_save": ["neck"]}, r"missing: base_model\.model\.neck"),
    ],
)
def test_what_a_foreign_folder_asks_for_is_compared_before_anything_is_built(adapter, values, said, monkeypatch):
    change_config(adapter, **values)
    monkeypatch.setattr("sam_mprompt.adapter.loading.add_adapter", lambda *_: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=said):
        load_adapter(AdapterFolder.read(adapter))


def test_wide_decoders_of_a_foreign_recipe_are_not_built_either(adapter, monkeypatch):
    recipe = (adapter / RECIPE).read_text()
    assert "stem_channels = 0" in recipe
    (adapter / RECIPE).write_text(recipe.replace("stem_channels = 0", "stem_channels = 1024"))
    sign(adapter)
    monkeypatch.setattr("sam_mprompt.adapter.loading.add_adapter", lambda *_: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=r"counter\.stem"):
        load_adapter(AdapterFolder.read(adapter))


def test_a_foreign_base_is_not_drawn_before_its_shapes_are_compared(adapter, monkeypatch):
    change_counter_file(adapter, lambda table: table.update(base="random:vit_h"))
    monkeypatch.setattr("sam_mprompt.adapter.loading.build_encoder", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(UsageError, match="reshaped"):
        load_adapter(AdapterFolder.read(adapter))


def test_an_adapter_that_does_not_fit_leaves_the_encoder_as_it_was(adapter, trained_run):
    built = load_adapter(AdapterFolder.read(trained_run / "adapter"))
    change_config(adapter, bottleneck=9)
    with pytest.raises(UsageError, match="reshaped"):
        add_to(built.counter.encoder, built.base, AdapterFolder.read(adapter), "other")
    assert set(built.counter.encoder.peft_config) == {"default"}


def test_training_does_not_start_from_an_adapter_of_another_base(adapter):
    folder = AdapterFolder.read(adapter)
    built = build_counter(folder.recipe.model, folder.recipe.tuning, segmenter=False)
    before = {name: tensor.clone() for name, tensor in built.counter.state_dict().items()}
    other = replace(built, base=replace(built.base, fingerprint="0" * 64))
    with pytest.raises(UsageError, match=r"trained on base .* is another one \(0{19}\.\.\.\)"):
        init_from(folder, other, folder.recipe.tuning.method)
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.counter.state_dict().items())
