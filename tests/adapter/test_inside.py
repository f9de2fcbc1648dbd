"""An adapter goes into an encoder through peft only where it has to, and either way is measured and filled alike."""

import pytest
import torch
from small_encoders import images, small_sam

from sam_mprompt.adapter.inside import config_of, fill, outlined, put_inside, state_of
from sam_mprompt.adapter.peft_layout import adapter_config_dict
from sam_mprompt.errors import UsageError
from sam_mprompt.tuning.attach import attach
from sam_mprompt.tuning.prompted import PromptedEncoder


def config(method="prompt", **settings):
    return adapter_config_dict(attach(small_sam(), method, **settings))


PLAIN = {"bottleneck": 4}
ODD = {"options": {"modules_to_save": ["neck"], "bottleneck": 4}}


@pytest.mark.parametrize(
    ("asked", "without_peft"),
    [(config(**PLAIN), True), (config(**ODD), False), (config("lora"), False)],
    ids=["plain", "with modules of the base", "lora"],
)
def test_an_adapter_is_put_in_measured_and_filled_either_way(asked, without_peft):
    encoder = put_inside(small_sam(), asked)
    assert isinstance(encoder, PromptedEncoder) is without_peft
    assert config_of(encoder) == asked
    state = {key: torch.randn_like(tensor) for key, tensor in state_of(encoder).items()}
    fill(encoder, state, "default", "'file'")
    assert all(torch.equal(tensor, state[key]) for key, tensor in state_of(encoder).items())
    outline = state_of(outlined(small_sam().to("meta"), asked))
    assert all(tensor.is_meta for tensor in outline.values())
    assert {key: tensor.shape for key, tensor in outline.items()} == {key: value.shape for key, value in state.items()}


@pytest.mark.parametrize(("method", "further"), [("lora", config("lora")), ("prompt", config(**ODD))])
def test_what_needs_peft_does_not_join_an_encoder_that_does_without_and_leaves_it_as_it_was(method, further):
    encoder = put_inside(small_sam(), config(**PLAIN))
    expected = encoder(images())
    with pytest.raises(UsageError) as refused:
        put_inside(encoder, further, "other")
    assert str(refused.value) == (
        f"'other' is a '{method}' adapter with settings of its own, and this encoder carries adapters of plain "
        "'prompt'; one encoder takes one kind: load it onto an encoder of its own"
    )
    assert torch.equal(encoder(images()), expected)
    assert list(encoder.configs) == ["default"]


def test_a_plain_adapter_joins_others_in_peft():
    encoder = put_inside(small_sam(), config(**ODD))
    assert put_inside(encoder, config(**PLAIN), "plain") is encoder
    assert set(encoder.peft_config) == {"default", "plain"}
    assert config_of(encoder, "plain") == config(**PLAIN)
    assert [any("neck" in key for key in state_of(encoder, name)) for name in ("default", "plain")] == [True, False]


@pytest.mark.parametrize("asked", [config(**PLAIN), config("lora")], ids=["plain", "lora"])
def test_what_does_not_fit_is_told_with_the_file_that_it_is_from(asked):
    with pytest.raises(UsageError, match=r"The keys of 'weights\.safetensors' are not those of the model"):
        fill(put_inside(small_sam(), asked), {}, "default", "'weights.safetensors'")


@pytest.mark.parametrize("wrong", [{"peft_type": "MPROMT"}, {"width": 4}, {"bottleneck": 0}])
def test_what_nobody_can_attach_is_refused_before_and_after_a_first_adapter(wrong):
    asked = {**config(**PLAIN), **wrong}
    for encoder in (small_sam(), put_inside(small_sam(), config(**PLAIN))):
        with pytest.raises(UsageError, match=r"adapter_config\.json"):
            put_inside(encoder, asked, "other")
    with pytest.raises(UsageError, match=r"adapter_config\.json"):
        outlined(small_sam().to("meta"), asked)


def test_unknown_names_are_told():
    encoder = put_inside(small_sam(), config(**PLAIN))
    for ask in (state_of, config_of):
        with pytest.raises(UsageError, match=r"no adapter 'defautl'\. Did you mean 'default'\?"):
            ask(encoder, "defautl")
