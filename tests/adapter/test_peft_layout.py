import hashlib
import json
import stat
import struct
import warnings
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from small_encoders import fill_adapter, images, small_sam

from sam_mprompt.adapter.peft_layout import adapter_config_dict, adapter_state, config_from_dict, load_adapter_state
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.files import sha256_of
from sam_mprompt.tensor_files import check_against, read_tensors, write_tensors
from sam_mprompt.tuning.adapters import switch
from sam_mprompt.tuning.attach import add_adapter, attach

in_one_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.bool]


def some_tensors():
    generator = torch.Generator().manual_seed(0)
    return {"b.weight": torch.randn(3, 4, generator=generator), "a.bias": torch.randn(5, generator=generator)}


def raw_file(path, header, content=b""):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content)
    return path


def entry(start=0, end=4, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@in_one_folder
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=12).filter(lambda key: key != "__metadata__" and key.isprintable()),
        st.tuples(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(DTYPES)),
        max_size=6,
    )
)
def test_tensors_come_back_as_they_were(tmp_path, layout):
    tensors = {name: torch.ones(shape).mul(3).to(dtype) for name, (shape, dtype) in layout.items()}
    write_tensors(tmp_path / "t.safetensors", tensors)
    loaded = read_tensors(tmp_path / "t.safetensors")
    assert loaded.keys() == tensors.keys()
    assert all(
        torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_equal_tensors_make_equal_bytes_whatever_their_order_and_strides(tmp_path):
    tensors = some_tensors()
    write_tensors(tmp_path / "one", tensors)
    turned = OrderedDict(reversed(tensors.items()))
    turned["b.weight"] = torch.nn.Parameter(turned["b.weight"].t().contiguous().t())
    write_tensors(tmp_path / "two", turned)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert b'"__metadata__":{"format":"pt"}' in (tmp_path / "one").read_bytes()
    assert sha256_of(tmp_path / "one") == hashlib.sha256((tmp_path / "two").read_bytes()).hexdigest()


def test_other_users_may_read_what_was_written(tmp_path):
    write_tensors(tmp_path / "t", some_tensors())
    (tmp_path / "plain").write_text("x")
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_tensors_that_share_memory_are_written_apart(tmp_path):
    whole = torch.arange(6.0)
    write_tensors(tmp_path / "t", {"whole": whole, "half": whole[:3], "again": whole})
    loaded = read_tensors(tmp_path / "t")
    assert torch.equal(loaded["half"], whole[:3])
    assert torch.equal(loaded["again"], loaded["whole"])


def test_a_dtype_narrows_floating_point_only(tmp_path):
    write_tensors(tmp_path / "t", {**some_tensors(), "count": torch.tensor(70000)}, torch.float16)
    loaded = read_tensors(tmp_path / "t")
    assert {name: tensor.dtype for name, tensor in loaded.items()} == {
        "a.bias": torch.float16,
        "b.weight": torch.float16,
        "count": torch.int64,
    }
    assert torch.equal(loaded["a.bias"], some_tensors()["a.bias"].half())


def test_values_that_do_not_fit_are_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "t"
    write_tensors(path, some_tensors())
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"torch.float16 cannot hold the values of big; expected .*bfloat16"):
        write_tensors(path, {"big": torch.tensor([7e4]), "small": torch.tensor([1.0])}, torch.float16)
    with pytest.raises(RunError, match=r"not finite in x, y. The training diverged"):
        write_tensors(path, {"y": torch.tensor([torch.nan]), "x": torch.tensor([torch.inf]), "z": torch.zeros(1)})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["t"]


def test_values_that_are_not_finite_are_refused_by_name(tmp_path):
    tensors = {"good": torch.ones(3), "nan": torch.tensor([1.0, torch.nan]), "half": torch.tensor([torch.inf]).half()}
    safetensors.torch.save_file(tensors, tmp_path / "t")
    with pytest.raises(UsageError, match=r"'.*t' cannot be used.*values that are not finite in half, nan\."):
        read_tensors(tmp_path / "t")


def test_a_key_that_occurs_twice_is_refused_by_name(tmp_path):
    one = json.dumps(entry())
    header = f'{{"a": {one}, "b": {json.dumps(entry(4, 8))}, "a": {one}}}'.encode()
    path = raw_file(tmp_path / "t", header, bytes(8))
    assert safetensors.torch.load_file(path).keys() == {"a", "b"}  # the library lets it pass
    with pytest.raises(UsageError, match=r"keys that occur more than once: a\."):
        read_tensors(path)
    twice = b'{"a": {"dtype": "F32", "shape": [1], "shape": [1], "data_offsets": [0, 4]}}'
    with pytest.raises(UsageError, match=r"more than once: shape"):
        read_tensors(raw_file(tmp_path / "t", twice, bytes(4)))


@pytest.mark.parametrize(
    ("header", "content", "message"),
    [
        ({"a": entry(0, 4_000_000_000_000)}, bytes(4), "it declares 4000000000000 bytes and holds 4"),
        ({"a": entry()}, bytes(3), "it declares 4 bytes and holds 3"),
        ({"a": entry()}, bytes(5), "it declares 4 bytes and holds 5"),
        ({"a": entry(shape=(2,))}, bytes(4), "types, shapes and sizes that contradict each other in"),
        ({"a": entry(shape=(2**62, 2**62))}, bytes(4), "types, shapes and sizes that contradict each other in"),
        ({"a": entry(shape=(-1,))}, bytes(4), "types, shapes and sizes that contradict each other in"),
        ({"a": entry(dtype="F33")}, bytes(4), "types, shapes and sizes that contradict each other in"),
        ({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4), "contradicts its content"),
        ({"a": entry(4, 8), "b": entry(0, 2)}, bytes(8), "types, shapes and sizes that contradict each other in"),
        ({"a": {"dtype": "F32"}}, bytes(4), "not the JSON of a safetensors file"),
        ({"a": 3}, bytes(4), "not the JSON of a safetensors file"),
        ([1, 2], bytes(4), "not the JSON of a safetensors file"),
        (b"{", b"", "not the JSON of a safetensors file"),
        (b"\xff\xfe{}", b"", "not the JSON of a safetensors file"),
        (b"[" * 100_000, b"", "not the JSON of a safetensors file"),
        ({"__metadata__": {"format": 3}}, b"", "contradict"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, header, content, message):
    with pytest.raises(UsageError, match=rf"cannot be used, expected an intact safetensors file: .*{message}"):
        read_tensors(raw_file(tmp_path / "t", header, content))


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"PK\x03\x04" + bytes(60), b"\x80\x02}q\x00." + bytes(9), b"\xff" * 40]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UsageError, match=r"it has \d+ bytes and a header that would need \d+"):
        read_tensors(tmp_path / "t")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for function in (read_tensors, sha256_of):
        with pytest.raises(UsageError, match=r"Cannot read '.*none': No such file"):
            function(tmp_path / "none")
        with pytest.raises(UsageError, match=r"Cannot read '.*': Is a directory"):
            function(tmp_path)


@in_one_folder
@given(st.data())
def test_a_file_that_was_cut_short_never_loads(tmp_path, data):
    path = tmp_path / "t"
    write_tensors(path, some_tensors())
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(UsageError):
        read_tensors(path)


@in_one_folder
@given(st.data())
def test_a_damaged_header_is_refused_or_says_something_else_but_never_breaks(tmp_path, data):
    path = tmp_path / "t"
    write_tensors(path, some_tensors())
    content = bytearray(path.read_bytes())
    header_end = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, header_end - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        loaded = read_tensors(path)
    except UsageError:
        return
    assert sum(tensor.numel() * tensor.element_size() for tensor in loaded.values()) == len(content) - header_end


def test_all_differences_of_keys_and_shapes_are_named_at_once():
    expected = {"same": (2,), "gone": (1,), "turned": (2, 3)}
    got = {"same": torch.zeros(2), "turned": torch.zeros(3, 2), "new": torch.zeros(1)}
    with pytest.raises(UsageError) as caught:
        check_against(expected, got, "'file'")
    assert str(caught.value) == (
        "The keys of 'file' are not those of the model: 1 missing: gone; 1 unexpected: new; 1 reshaped: turned is "
        "(3, 2) instead of (2, 3). Load it onto the base and with the configuration that it was trained with."
    )
    check_against({"same": [2]}, {"same": torch.zeros(2)})


def test_long_lists_of_keys_are_shortened_to_eight():
    with pytest.raises(UsageError, match=r"12 missing: k00, k01, k02, k03, k04, k05, k06, k07 and 4 more\."):
        check_against({f"k{index:02}": (1,) for index in range(12)}, {})
    with pytest.raises(UsageError, match=r"8 missing: .*k07\."):
        check_against({f"k{index:02}": (1,) for index in range(8)}, {})


@pytest.mark.parametrize("method", ["prompt", "lora", "dora", "vera"])
@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_plain_peft_reads_what_is_written_here_and_the_other_way_round(tmp_path, method, dtype):
    encoder = attach(small_sam(), method, bottleneck=4)
    fill_adapter(encoder, "default")
    if dtype is not None:
        for parameter in encoder.parameters():
            parameter.data = parameter.data.to(dtype).float() if parameter.requires_grad else parameter.data
    expected = encoder(images())

    state = adapter_state(encoder)
    assert all(name.startswith("base_model.") and ".default" not in name for name in state)
    heads = {"counter.regressor.weight": torch.ones(3)}  # adapter folders hold them too; peft leaves them alone
    write_tensors(tmp_path / "adapter_model.safetensors", state | heads, dtype)
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter_config_dict(encoder)))
    loaded = PeftModel.from_pretrained(small_sam(), str(tmp_path))
    assert torch.allclose(loaded(images()), expected, atol=2e-2 if dtype and method == "vera" else 1e-6)

    encoder.save_pretrained(str(tmp_path / "by_peft"))
    config = config_from_dict(json.loads((tmp_path / "by_peft/adapter_config.json").read_text()))
    ours = add_adapter(small_sam(), config)
    load_adapter_state(ours, read_tensors(tmp_path / "by_peft/adapter_model.safetensors"))
    assert torch.equal(ours(images()), expected)


def test_one_of_several_adapters_is_taken_and_filled_alone():
    encoder = attach(small_sam(), adapter_name="station", bottleneck=4)
    attach(encoder, adapter_name="gate", bottleneck=4)
    fill_adapter(encoder, "station", 1)
    fill_adapter(encoder, "gate", 2)
    other = attach(small_sam(), adapter_name="elsewhere", bottleneck=4)
    load_adapter_state(other, adapter_state(encoder, "gate"), "elsewhere")
    switch(encoder, "gate")
    assert torch.equal(other(images()), encoder(images()))
    with pytest.raises(UsageError, match=r"no adapter 'gat'. Did you mean 'gate'\? It has: gate, station"):
        adapter_state(encoder, "gat")
    with pytest.raises(UsageError, match="carries no adapters"):
        adapter_state(small_sam())


def test_stored_half_precision_becomes_the_dtype_of_the_adapter():
    encoder, other = attach(small_sam(), bottleneck=4), attach(small_sam(), bottleneck=4)
    fill_adapter(encoder, "default")
    load_adapter_state(other, {name: tensor.half() for name, tensor in adapter_state(encoder).items()})
    for name, tensor in adapter_state(other).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, adapter_state(encoder)[name].half().float())


def spoilt(state, how):
    first = next(iter(state))
    changes = {
        "missing": lambda: state.pop(first),
        "unexpected": lambda: state.update({first + "x": torch.zeros(1)}),
        "reshaped": lambda: state.update({first: torch.zeros(3, 3)}),
        "integers": lambda: state.update({first: torch.zeros(state[first].shape, dtype=torch.int64)}),
    }
    changes[how]()
    return first


@pytest.mark.parametrize("how", ["missing", "unexpected", "reshaped", "integers"])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(how):
    encoder = attach(small_sam(), bottleneck=4)
    fill_adapter(encoder, "default")
    before = {name: tensor.clone() for name, tensor in adapter_state(encoder).items()}
    state = {name: torch.zeros_like(tensor) for name, tensor in before.items()}
    key = spoilt(state, how)
    with pytest.raises(UsageError, match=rf"'file'.*{how}.*{key}"):
        load_adapter_state(encoder, state, source="'file'")
    after = adapter_state(encoder)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_the_configuration_is_plain_json_without_any_hub(tmp_path):
    for method in ("prompt", "lora", "ia3", "vera"):
        encoder = attach(small_sam(), method)
        encoder.peft_config["default"].base_model_name_or_path = "somebody/something"
        values = adapter_config_dict(encoder)
        assert json.loads(json.dumps(values)) == values
        assert list(values) == sorted(values)
        assert (values["base_model_name_or_path"], values["inference_mode"]) == (None, True)
        back = config_from_dict({**values, "base_model_name_or_path": "somebody/something"})
        assert back.base_model_name_or_path is None
        assert add_adapter(small_sam(), back).peft_config["default"].target_modules == values["target_modules"]


def test_sets_of_module_names_are_sorted():
    encoder = attach(small_sam(), "lora", options={"target_modules": ["qkv", "lin2", "lin1"]})
    assert adapter_config_dict(encoder)["target_modules"] == ["lin1", "lin2", "qkv"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"expected a peft_type that peft 0\.\d+\.\d+ puts into encoders, got 'None'"),
        ({"peft_type": "MPROMT"}, r"got 'MPROMT'. Did you mean 'MPROMPT'\?"),
        ({"peft_type": ["LORA"]}, r"puts into encoders, got '\['LORA'\]'"),
        ({"peft_type": "PREFIX_TUNING"}, r"puts into encoders, got 'PREFIX_TUNING'"),
        ({"peft_type": "SHADOW", "shadow_model": "a/b"}, r"puts into encoders, got 'SHADOW'"),
        ({"peft_type": "MPROMPT", "bottlenek": 3}, r"MPROMPT has no bottlenek. Did you mean 'bottleneck'\?"),
        ({"peft_type": "MPROMPT", "bottleneck": "3"}, r"does not take these values: bottleneck: expected a positive"),
        ({"peft_type": "MPROMPT", "target_modules": "(blocks"}, r"does not take these values: missing \)"),
        ({"peft_type": "MPROMPT", "target_modules": [7]}, r"target_modules: expected .* got \[7\]"),
        ({"peft_type": "MPROMPT", "target_modules": 7}, r"target_modules: expected .* got 7"),
        ({"peft_type": "LORA", "task_type": "nonsense"}, r"LORA does not take these values: Invalid task type"),
    ],
)
def test_configurations_that_peft_would_stumble_over_are_refused(values, message):
    with pytest.raises(UsageError, match=rf"adapter_config.json: .*{message}"):
        config_from_dict(values)


@pytest.mark.parametrize(
    "values",
    [{"peft_type": "MPROMPT", "target_modules": ["attn"] * 99_999 + [7]}, {"peft_type": ["LORA"] * 99_999}],
    ids=["targets", "type"],
)
def test_what_was_given_is_not_repeated_at_any_length(values):
    with pytest.raises(UsageError) as said:
        config_from_dict(values)
    assert len(str(said.value)) < 600


def test_each_of_several_adapters_has_a_configuration_of_its_own():
    encoder = attach(small_sam(), adapter_name="default", bottleneck=4)
    attach(encoder, adapter_name="gate", bottleneck=5)
    assert adapter_config_dict(encoder)["bottleneck"] == 4
    assert adapter_config_dict(encoder, "gate")["bottleneck"] == 5
    with pytest.raises(UsageError, match="no adapter 'gat'"):
        adapter_config_dict(encoder, "gat")


def test_tensors_of_no_file_are_called_the_given_ones():
    with pytest.raises(UsageError, match=r"^The keys of the given tensors are not those of the model: "):
        load_adapter_state(attach(small_sam(), bottleneck=4), {})


def test_settings_that_hold_others_are_written_with_them():
    options = {"rank_pattern": {"blocks.0.attn.qkv": 3}, "modules_to_save": ["neck"]}
    values = adapter_config_dict(attach(small_sam(), "lora", options=options))
    assert (values["rank_pattern"], values["modules_to_save"]) == ({"blocks.0.attn.qkv": 3}, ["neck"])


def test_an_encoder_is_not_searched_for_embeddings_of_words():
    encoder = attach(small_sam(), bottleneck=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert adapter_state(encoder)
