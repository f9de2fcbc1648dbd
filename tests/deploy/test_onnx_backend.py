import numpy as np
import onnx
import pytest
from pooling_backend import PoolingBackend
from pooling_file import pooling_file

from sam_mprompt.deploy.onnx_backend import OnnxBackend
from sam_mprompt.errors import UsageError


@pytest.fixture
def tiles():
    return np.random.default_rng(0).standard_normal((3, 3, 32, 48)).astype(np.float32)


def test_a_file_computes_the_density_of_tiles_of_any_size_and_number(tmp_path, tiles):
    backend = OnnxBackend(pooling_file(tmp_path / "a.onnx"))
    for some in (tiles, tiles[:1, :, :16, :16]):
        np.testing.assert_allclose(backend.density(some), PoolingBackend().density(some), rtol=1e-5)


def test_a_smaller_tile_than_the_fixed_one_is_padded_with_zeros_and_the_padding_is_dropped(tmp_path, tiles):
    backend = OnnxBackend(pooling_file(tmp_path / "a.onnx", tile=64))
    found = backend.density(tiles)
    assert found.shape == (3, 8, 12)
    np.testing.assert_allclose(found, PoolingBackend().density(tiles), rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"), [("", "not exported by sam-mprompt"), ("{}", "format version None"), ("{", "no JSON")]
)
def test_an_onnx_file_of_somebody_else_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        OnnxBackend(pooling_file(tmp_path / "a.onnx", text))


def test_weights_that_lie_outside_of_the_files_folder_are_not_read(tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.full(1, 0.5, np.float32).tobytes())
    (tmp_path / "from_somebody").mkdir()
    model = onnx.load(str(pooling_file(tmp_path / "from_somebody" / "a.onnx")))
    [heads] = [tensor for tensor in model.graph.initializer if tensor.name == "heads"]
    heads.ClearField("raw_data")
    heads.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("offset", "0"), ("length", "4")):
        heads.external_data.add(key=key, value=value)
    (tmp_path / "from_somebody" / "b.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="cannot be read as ONNX"):
        OnnxBackend(tmp_path / "from_somebody" / "b.onnx")


def test_a_file_that_was_cut_short_is_refused_in_one_line(tmp_path):
    whole = pooling_file(tmp_path / "a.onnx").read_bytes()
    (tmp_path / "b.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="cannot be read as ONNX") as error:
        OnnxBackend(tmp_path / "b.onnx")
    assert "\n" not in str(error.value)


def test_metadata_that_are_no_text_are_refused_in_one_line(tmp_path):
    whole = pooling_file(tmp_path / "a.onnx").read_bytes()
    (tmp_path / "a.onnx").write_bytes(whole.replace(b'"adapter_fing', b'"adapter\xfffing'))
    with pytest.raises(UsageError, match="its metadata is no text"):
        OnnxBackend(tmp_path / "a.onnx")


@pytest.mark.parametrize("names", [(b"\x0a\x03\x12\x01b", b"\x0a\x03\x12\x01\xff"), (b"tiles", b"tile\xff")])
def test_names_of_the_input_that_are_no_text_are_refused_in_one_line(tmp_path, names):
    whole = pooling_file(tmp_path / "a.onnx").read_bytes()
    assert names[0] in whole
    (tmp_path / "a.onnx").write_bytes(whole.replace(*names))
    with pytest.raises(UsageError, match="names of its input are no text"):
        OnnxBackend(tmp_path / "a.onnx")


@pytest.mark.parametrize("device", ["cuda:x", "tpu", "mps"])
def test_a_device_that_is_not_there_is_refused_and_those_that_are_there_are_named(tmp_path, device):
    with pytest.raises(UsageError, match=r"Available: cpu"):
        OnnxBackend(pooling_file(tmp_path / "a.onnx"), device)
