import json
import os

import pytest
import torch

from sam_mprompt.errors import UsageError
from sam_mprompt.tensor_files import read_shapes, read_tensors, write_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True])}


def stored(path, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def entry(dtype, shape, end):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


def test_what_changed_since_it_was_written_is_refused_by_its_digest(tmp_path):
    path = tmp_path / "state.safetensors"
    digest = write_tensors(path, TENSORS)
    assert torch.equal(read_tensors(path, sha256=digest)["a"], TENSORS["a"])
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match="changed after it was written"):
        read_tensors(path, sha256=digest)


def test_shapes_are_read_without_the_contents(tmp_path):
    write_tensors(tmp_path / "a.safetensors", TENSORS | {"c": torch.zeros(3)})
    assert read_shapes(tmp_path / "a.safetensors") == {"a": (2, 3), "b": (1,), "c": (3,)}


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 4]}}',
        entry("F32", [2**40], 4),
        entry("F32", [0, 2**70], 4),
        entry("F32", [-1, -1], 4),
        entry("F32", [1.0], 4),
        entry("F32", [1] * 5000, 4),
        entry("X99", [1], 4),
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [True, 4]}},
        {"a": {"dtype": "F32", "shape": None, "data_offsets": [0, 4]}},
        {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
        ["a"],
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_header_that_claims_what_the_file_is_not_is_one_line(tmp_path, header):
    path = stored(tmp_path / "a.safetensors", header, bytes(4))
    for read in (read_tensors, read_shapes):
        with pytest.raises(UsageError, match=r"\A[^\n]+ Get it again\.\Z"):
            read(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="a device or a pipe"):
        read_tensors(tmp_path / "a.safetensors")


def test_what_a_file_claims_is_compared_with_its_size_before_anything_is_read(tmp_path, monkeypatch):
    path = stored(tmp_path / "a.safetensors", entry("F32", [2**38], 2**40), bytes(4))

    def load(_content):
        raise AssertionError("contents were read")

    monkeypatch.setattr("safetensors.torch.load", load)
    with pytest.raises(UsageError, match="declares 1099511627776 bytes and holds 4"):
        read_tensors(path)
