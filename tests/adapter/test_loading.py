import json
from dataclasses import replace

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tampering import as_version_1, change_counter_file, change_tensors, sign
from torch import nn

from sam_mprompt.adapter.contents import CONFIG, RECIPE, TENSORS
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.loading import add_to, check_folder, init_from, load_adapter
from sam_mprompt.bases.weights import fingerprint
from sam_mprompt.errors import UsageError
from sam_mprompt.models.build import Base, build_counter, build_encoder, build_outline
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tuning.adapters import switch


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


@pytest.mark.parametrize("base", ["hf:somebody/model", "hf://somebody/model@main"])
def test_a_base_of_the_hub_that_an_adapter_names_is_not_fetched(adapter, base, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: pytest.fail("it was fetched"))
    change_counter_file(adapter, lambda table: table.update(base=base))
    with pytest.raises(UsageError, match="is missing"):
        load_adapter(AdapterFolder.read(adapter))


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
    monkeypatch.setattr("sam_mprompt.adapter.loading.put_inside", lambda *_: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=said):
        load_adapter(AdapterFolder.read(adapter))


def test_wide_decoders_of_a_foreign_recipe_are_not_built_either(adapter, monkeypatch):
    recipe = (adapter / RECIPE).read_text()
    assert "stem_channels = 0" in recipe
    (adapter / RECIPE).write_text(recipe.replace("stem_channels = 0", "stem_channels = 1024"))
    sign(adapter)
    monkeypatch.setattr("sam_mprompt.adapter.loading.put_inside", lambda *_: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=r"counter\.stem"):
        load_adapter(AdapterFolder.read(adapter))


def test_a_foreign_base_is_not_drawn_before_its_shapes_are_compared(adapter, monkeypatch):
    change_counter_file(adapter, lambda table: table.update(base="random:vit_h"))
    monkeypatch.setattr("sam_mprompt.adapter.loading.build_encoder", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(UsageError, match="reshaped"):
        load_adapter(AdapterFolder.read(adapter))


def refused_at_once(adapter):
    with pytest.raises(UsageError) as told:
        check_folder(AdapterFolder.read(adapter))
    return str(told.value)


def test_a_folder_that_does_not_fit_its_base_is_refused_at_once_in_the_words_of_loading(adapter):
    check_folder(AdapterFolder.read(adapter))
    change_config(adapter, bottleneck=10**6)
    said = refused_at_once(adapter)
    assert "mprompt_down.bias is (8,) instead of (1000000,)" in said
    with pytest.raises(UsageError) as told:
        load_adapter(AdapterFolder.read(adapter))
    assert str(told.value) == said


def test_a_network_that_sees_images_otherwise_is_refused_at_once(adapter):
    change_counter_file(adapter, lambda table: table.update(stride=8))
    assert "stride 8, as its counter.json says" in refused_at_once(adapter)


def test_a_base_of_another_size_that_a_folder_names_is_refused_at_once_and_not_drawn(adapter, monkeypatch):
    change_counter_file(adapter, lambda table: table.update(base="random:vit_h"))
    monkeypatch.setattr("sam_mprompt.adapter.loading.build_encoder", lambda *_, **__: pytest.fail("it was built"))
    assert "reshaped" in refused_at_once(adapter)


def test_a_folder_whose_base_is_not_here_is_taken_at_its_word(adapter, tiny_base, tmp_path):
    change_config(adapter, bottleneck=9)
    away = tmp_path / "base.safetensors"
    change_counter_file(adapter, lambda table: table.update(base=str(away)))
    check_folder(AdapterFolder.read(adapter))  # no such file
    other = replace(SamEncoder.from_checkpoint(tiny_base).config, embed_dim=16)
    save_file(SamEncoder.random(other, seed=1).state_dict(), away)
    check_folder(AdapterFolder.read(adapter))  # another file of that name
    away.write_bytes(b"no checkpoint")
    check_folder(AdapterFolder.read(adapter))
    away.write_bytes(tiny_base.read_bytes())
    assert "reshaped" in refused_at_once(adapter)


def test_an_adapter_that_does_not_fit_leaves_the_encoder_as_it_was(adapter, small_adapter):
    built = load_adapter(AdapterFolder.read(small_adapter))
    change_config(adapter, bottleneck=9)
    with pytest.raises(UsageError, match="reshaped"):
        add_to(built.counter.encoder, built.base, AdapterFolder.read(adapter), "other")
    assert set(built.counter.encoder.configs) == {"default"}


def test_training_does_not_start_from_an_adapter_of_another_base(adapter):
    folder = AdapterFolder.read(adapter)
    built = build_counter(folder.recipe.model, folder.recipe.tuning, segmenter=False)
    before = {name: tensor.clone() for name, tensor in built.counter.state_dict().items()}
    other = replace(built, base=replace(built.base, fingerprint="0" * 64))
    with pytest.raises(UsageError, match=r"trained on base .* is another one \(0{19}\.\.\.\)"):
        init_from(folder, other, folder.recipe.tuning.method)
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.counter.state_dict().items())


def density(counter, seed=0):
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return counter(images).density


def is_ready_to_count(counter):
    return (
        not any(module.training for module in counter.modules())
        and not any(parameter.requires_grad for parameter in counter.parameters())
        and counter.segmenter is None
    )


def holds(built, recipe, folder):
    """Whether a counter holds exactly what a folder does."""
    tensors = AdapterFolder.of(folder.path, built, recipe, metrics={}).tensors
    return tensors.keys() == folder.tensors.keys() and all(
        torch.equal(tensors[name], tensor) for name, tensor in folder.tensors.items()
    )


@pytest.mark.parametrize("method", ["prompt", "lora", "shira", "none", "side", "full"])
def test_an_adapter_of_every_kind_is_loaded_whole_and_ready_to_count(make_adapter, tiny_base, method):
    options = ["tuning.options.r=2"] if method == "shira" else []
    folder = AdapterFolder.read(make_adapter(f"tuning.method={method}", *options))
    built = load_adapter(folder)
    assert holds(built, folder.recipe, folder)
    assert is_ready_to_count(built.counter)
    assert built.base == Base(str(tiny_base), folder.info.base_fingerprint)


FROM_SCRATCH = ["model.encoder=timm", "model.base=test_resnet", "model.pretrained=false"]


@pytest.mark.parametrize("method", ["none", "full"])
def test_weights_of_a_timm_model_that_an_adapter_holds_are_not_asked_for(make_adapter, monkeypatch, method):
    asked = {}

    def build(*arguments, **options):
        asked.update(options)
        return build_encoder(*arguments, **options)

    monkeypatch.setattr("sam_mprompt.adapter.loading.build_encoder", build)
    folder = AdapterFolder.read(make_adapter(*FROM_SCRATCH, f"tuning.method={method}"))
    torch.manual_seed(1)
    built = load_adapter(folder)
    assert asked == {"frozen": method == "none", "weights": method == "none"}
    assert holds(built, folder.recipe, folder)


def test_a_timm_model_that_the_user_names_is_compared_before_it_is_built(make_adapter, monkeypatch):
    folder = AdapterFolder.read(make_adapter(*FROM_SCRATCH, "tuning.method=full"))
    monkeypatch.setattr("sam_mprompt.adapter.loading.build_encoder", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=r"counter\.encoder\."):
        load_adapter(folder, "resnet10t")


def test_a_base_of_another_shape_that_the_user_names_is_the_one_to_blame(adapter, tiny_base, tmp_path):
    config = replace(SamEncoder.from_checkpoint(tiny_base).config, embed_dim=16)
    other = tmp_path / "other.safetensors"
    save_file(SamEncoder.random(config, seed=1).state_dict(), other)
    folder = AdapterFolder.read(adapter)
    with pytest.raises(UsageError) as told:
        load_adapter(folder, str(other))
    ours, theirs = folder.info.base_fingerprint, fingerprint(load_file(other))
    assert str(told.value) == (
        f"Adapter '{adapter}' was trained on base '{tiny_base}' ({ours[:19]}...), but '{other}' is another one "
        f"({theirs[:19]}...)."
    )
    assert told.value.about == "another base"


def test_an_adapter_that_does_not_fit_a_base_that_the_user_names_is_refused_before_it_is_attached(
    adapter, tiny_base, monkeypatch
):
    change_config(adapter, bottleneck=9)
    monkeypatch.setattr("sam_mprompt.adapter.loading.put_inside", lambda *_: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=rf"The keys of '{adapter / TENSORS}' are not those of the model: .*reshaped"):
        load_adapter(AdapterFolder.read(adapter), str(tiny_base))


def test_a_further_adapter_counts_as_it_does_alone_and_the_first_stays_active(small_adapter, make_adapter):
    second = AdapterFolder.read(make_adapter("tuning.bottleneck=5", seed=6))
    built, alone = load_adapter(AdapterFolder.read(small_adapter)), load_adapter(second)
    before = density(built.counter)
    further = add_to(built.counter.encoder, built.base, second, "second")
    assert is_ready_to_count(further)
    assert torch.equal(density(built.counter), before)
    switch(built.counter.encoder, "second")
    assert torch.equal(density(further), density(alone.counter))
    assert not torch.equal(density(further), before)
    switch(built.counter.encoder, "default")
    assert torch.equal(density(built.counter), before)


def test_a_further_adapter_on_a_timm_model_is_compared_by_its_name(make_adapter, monkeypatch):
    lora = [
        *FROM_SCRATCH,
        "tuning.method=lora",
        "tuning.options.r=2",
        "tuning.options.target_modules=.*layer1\\..*conv1",
    ]
    first, second = (AdapterFolder.read(make_adapter(*lora, seed=seed)) for seed in (5, 6))
    built, asked = load_adapter(first), []

    def outline(*arguments):
        asked.append(arguments)
        return build_outline(*arguments)

    monkeypatch.setattr("sam_mprompt.adapter.loading.build_outline", outline)
    further = add_to(built.counter.encoder, built.base, second, "second")
    assert asked == [(second.recipe.model, built.base.name)]
    switch(built.counter.encoder, "second")
    assert torch.equal(density(further), density(load_adapter(second).counter))


def test_a_further_adapter_of_another_base_or_shape_is_refused_before_it_is_attached(
    adapter, small_adapter, monkeypatch
):
    built = load_adapter(AdapterFolder.read(small_adapter))
    monkeypatch.setattr("sam_mprompt.adapter.loading.put_inside", lambda *_: pytest.fail("it was built"))
    with pytest.raises(UsageError, match=r"'elsewhere' is another one \(0{19}\.\.\.\)"):
        add_to(built.counter.encoder, Base("elsewhere", "0" * 64), AdapterFolder.read(adapter), "other")
    change_config(adapter, bottleneck=9)
    with pytest.raises(UsageError, match="reshaped"):
        add_to(built.counter.encoder, built.base, AdapterFolder.read(adapter), "other")


def test_a_further_adapter_that_is_refused_after_it_was_attached_is_taken_off_again(adapter, small_adapter):
    built = load_adapter(AdapterFolder.read(small_adapter))
    before = density(built.counter)
    change_counter_file(adapter, lambda table: table.update(stride=8))
    with pytest.raises(UsageError, match="stride 8"):
        add_to(built.counter.encoder, built.base, AdapterFolder.read(adapter), "other")
    assert set(built.counter.encoder.configs) == {"default"}
    assert torch.equal(density(built.counter), before)


def fresh(folder, *, seed=9):
    torch.manual_seed(seed)
    return build_counter(folder.recipe.model, folder.recipe.tuning, segmenter=True)


@pytest.mark.parametrize("method", ["prompt", "side", "full"])
def test_training_starts_from_all_that_an_adapter_holds_and_from_a_new_segmenter(make_adapter, method):
    folder = AdapterFolder.read(make_adapter(f"tuning.method={method}"))
    built, as_drawn = fresh(folder), fresh(folder)
    init_from(folder, built, method)
    assert holds(built, folder.recipe, folder)
    drawn = as_drawn.counter.segmenter.state_dict()
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in built.counter.segmenter.state_dict().items())


def test_training_starts_from_a_whole_model_whatever_base_it_came_from(make_adapter):
    folder = AdapterFolder.read(make_adapter("tuning.method=full"))
    built = replace(fresh(folder), base=Base("elsewhere", "0" * 64))
    init_from(folder, built, "full")
    assert holds(built, folder.recipe, folder)


def test_an_adapter_of_another_method_is_refused_with_both_methods(small_adapter):
    folder = AdapterFolder.read(small_adapter)
    with pytest.raises(UsageError) as told:
        init_from(folder, fresh(folder), "lora")
    assert str(told.value) == (
        f"train.init_from: expected an adapter of tuning.method = 'lora' as the recipe's, '{small_adapter}' has "
        "'prompt'. Start from another adapter, or set tuning.method = 'prompt'."
    )


def test_training_does_not_start_from_half_an_adapter(small_adapter):
    folder = AdapterFolder.read(small_adapter)
    for part, key in (("base_model.", "mprompt_down"), ("counter.", "regressor.output")):
        built = fresh(folder)
        before = {name: tensor.clone() for name, tensor in built.counter.state_dict().items()}
        left = {k: tensor for k, tensor in folder.tensors.items() if not (k.startswith(part) and key in k)}
        said = rf"The keys of '{small_adapter / TENSORS}' are not those of the model: \d+ missing: .*{key}"
        with pytest.raises(UsageError, match=said):
            init_from(replace(folder, tensors=left), built, "prompt")
        assert all(torch.equal(tensor, before[name]) for name, tensor in built.counter.state_dict().items())


def test_prompt_modules_without_their_configuration_are_refused(small_adapter):
    folder = replace(AdapterFolder.read(small_adapter), config=None)
    with pytest.raises(UsageError) as told:
        init_from(folder, fresh(folder), "prompt")
    assert str(told.value) == (
        f"Adapter '{small_adapter}' has prompt modules but no adapter_config.json. Export it again."
    )


def test_a_random_base_that_the_user_names_is_told_by_its_fingerprint_and_not_by_its_shapes(adapter, monkeypatch):
    def build(_model, name, **_):
        return nn.Identity(), Base(name, "0" * 64)

    monkeypatch.setattr("sam_mprompt.adapter.loading.build_encoder", build)
    with pytest.raises(UsageError, match=r"'random:vit_b' is another one \(0{19}"):
        load_adapter(AdapterFolder.read(adapter), "random:vit_b")
