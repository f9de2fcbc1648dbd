import copy
import pickle

import pytest
import torch
from small_encoders import images, small_sam

from sam_mprompt.adapter.peft_layout import adapter_config_dict, adapter_state
from sam_mprompt.errors import UsageError
from sam_mprompt.tuning.adapters import active_adapter, disable, merge, remove, switch
from sam_mprompt.tuning.attach import add_adapter
from sam_mprompt.tuning.prompt_tuner import PromptConfig
from sam_mprompt.tuning.prompted import PromptedEncoder, counts_without_peft
from sam_mprompt.tuning.selection import base_tensors

KINDS = {"station": {"bottleneck": 4}, "gate": {"bottleneck": 2, "target_modules": r"blocks\.[01]\.mlp"}}


@pytest.fixture
def both():
    """Two adapters of different width and place on one base: through peft, and without it, with the same weights."""
    tuned = small_sam()
    for name, settings in KINDS.items():
        tuned = add_adapter(tuned, PromptConfig(**settings), name)
    prompted = PromptedEncoder(small_sam())
    for name in KINDS:
        for tensor in adapter_state(tuned, name).values():
            torch.nn.init.normal_(tensor, std=0.3)
        prompted.add(name, adapter_config_dict(tuned, name))
        prompted.fill(adapter_state(tuned, name), name, "the other")
    return tuned.eval(), prompted.eval()


def config(**changes):
    return {**adapter_config_dict(add_adapter(small_sam(), PromptConfig(bottleneck=4))), **changes}


@torch.no_grad()
def test_it_computes_bit_for_bit_what_peft_does_with_each_adapter_and_with_none(both):
    tuned, prompted = both
    seen = []
    for name in ("station", "gate", "station"):
        for encoder in both:
            switch(encoder, name)
        assert active_adapter(prompted) == name
        assert torch.equal(prompted(images()), tuned(images()))
        seen.append(prompted(images()))
    assert torch.equal(seen[0], seen[2])
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)
    with disable(prompted):
        assert torch.equal(prompted(images()), small_sam()(images()))
        switch(prompted, "gate")
        assert torch.equal(prompted(images()), small_sam()(images()))
    assert torch.equal(prompted(images()), seen[1])


@torch.no_grad()
def test_it_computes_in_half_precision_as_peft_does(both):
    expected, found = (encoder.bfloat16()(images().bfloat16()) for encoder in both)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_its_tensors_are_called_as_in_peft_s_files_and_those_of_the_base_as_before(both):
    tuned, prompted = both
    for name in KINDS:
        ours, theirs = prompted.state(name), adapter_state(tuned, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert base_tensors(prompted).keys() == small_sam().state_dict().keys()


@torch.no_grad()
def test_a_copy_and_a_pickled_one_encode_the_same_and_switch_by_themselves(both):
    _, prompted = both
    expected = prompted(images())
    for again in (copy.deepcopy(prompted), pickle.loads(pickle.dumps(prompted))):
        switch(prompted, "gate")
        assert torch.equal(again(images()), expected)
        switch(prompted, "station")


def test_an_adapter_is_removed_without_a_trace_unless_it_is_active(both):
    _, prompted = both
    expected = prompted(images())
    remove(prompted, "gate")
    assert list(prompted.configs) == ["station"]
    assert not any("gate" in key for key in prompted.state_dict())
    assert torch.equal(prompted(images()), expected)
    with pytest.raises(UsageError, match="is active; switch to another"):
        remove(prompted, "station")
    with pytest.raises(UsageError, match=r"no adapter 'statoin'\. Did you mean 'station'\?"):
        switch(prompted, "statoin")
    with pytest.raises(UsageError, match="Prompt modules cannot be merged"):
        merge(prompted)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("station", {}, "already has an adapter 'station'"),
        ("1", {}, "cannot name an adapter"),
        (5, {}, "An adapter's name is text"),
        ("b", {"target_modules": "nothing"}, "matches no module of the encoder"),
        ("b", {"target_modules": "^$"}, "matches no module of the encoder"),
        ("b", {"target_modules": ".*"}, "cannot take a prompt module"),
        ("b", {"target_modules": "blocks"}, "cannot take a prompt module"),
        ("b", {"target_modules": "(a+)+b"}, "without repeated groups"),
        ("b", {"target_modules": r"blocks\.0\.norm1"}, "'blocks.0.norm1' cannot take a prompt module"),
    ],
)
def test_what_cannot_be_added_changes_nothing(both, name, changes, said):
    _, prompted = both
    keys, expected = set(prompted.state_dict()), prompted(images())
    with pytest.raises(UsageError, match=said):
        prompted.add(name, config(**changes))
    assert set(prompted.state_dict()) == keys
    assert torch.equal(prompted(images()), expected)


def test_tensors_that_do_not_fit_fill_nothing(both):
    _, prompted = both
    before = {key: tensor.clone() for key, tensor in prompted.state("gate").items()}
    wrong = {**before, next(iter(before)): torch.zeros(3)}
    with pytest.raises(UsageError, match="reshaped"):
        prompted.fill({key: tensor + 1 for key, tensor in wrong.items()}, "gate", "'file'")
    assert all(torch.equal(tensor, before[key]) for key, tensor in prompted.state("gate").items())


def test_what_only_peft_can_do_or_has_to_refuse_is_left_to_peft():
    assert counts_without_peft(config())
    for changes in (
        {"peft_type": "LORA"},
        {"modules_to_save": ["neck"]},
        {"target_modules": ["attn"]},
        {"target_modules": ""},
        {"bottleneck": 0},
        {"bottleneck": True},
        {"bottleneck": 10**9},
        {"rank": 4},
    ):
        assert not counts_without_peft(config(**changes)), changes
