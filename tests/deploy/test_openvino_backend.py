import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from subprocess import run

import numpy as np
import onnx
import pytest
from pooling_backend import PoolingBackend, noise
from pooling_file import pooling_file, pooling_metadata

from sam_mprompt import load
from sam_mprompt.deploy import openvino_backend as module
from sam_mprompt.deploy.openvino_files import openvino_network, write_openvino
from sam_mprompt.errors import UsageError


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    return pooling_file(tmp_path_factory.mktemp("onnx") / "pooling.onnx")


@pytest.fixture(scope="module")
def own_file(package, tmp_path_factory):
    return pooling_openvino(tmp_path_factory.mktemp("own") / "pooling.openvino")


@pytest.fixture(params=["onnx_file", "own_file"])
def file(package, request):
    return request.getfixturevalue(request.param)


def pooling_openvino(path, *, metadata=None, **changes):
    """`pooling_file` as a file of OpenVINO's kind; `metadata` in place of its own."""
    source = pooling_file(path.with_suffix(".onnx"), "", **changes)
    network = openvino_network(onnx.load(str(source)), half=False)
    source.unlink()
    write_openvino(network, metadata or pooling_metadata(**changes), path)
    return path


def test_both_kinds_of_file_count_tiles_of_any_size_and_number(file):
    counter = load(file, device="openvino")
    assert counter.device == "openvino"
    assert counter.metadata.to_json() == pooling_metadata().to_json()
    backend = counter.backend
    tiles = np.random.default_rng(0).standard_normal((3, 3, 32, 48)).astype(np.float32)
    for some in (tiles, tiles[:1, :, :16, :16], tiles):
        np.testing.assert_allclose(backend.density(some), PoolingBackend().density(some), rtol=1e-5)


def test_threads_share_one_counter(file):
    counter = load(file, device="openvino")
    images = [noise(40 + 8 * number, 60, seed=number) for number in range(8)]
    expected = [counter.count(image).count for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: counter.count(image).count, images * 4))
    assert found == expected * 4


SIGNALLED = """
import os, signal, sys, threading
from sam_mprompt import load

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
first, second = (load(sys.argv[1], device="openvino") for _ in range(2))
del first
del second
counters = [load(sys.argv[1], device="openvino")]
dropping = threading.Thread(target=counters.clear)
dropping.start()
dropping.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_is_handled_after_counters_were_dropped_in_any_order_by_any_thread(package, onnx_file):
    ended = run([sys.executable, "-c", SIGNALLED, str(onnx_file)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_network_is_computed_in_bfloat16_where_its_file_says_so_and_the_cpu_can(
    package, tmp_path, monkeypatch, dtype, able
):
    monkeypatch.setattr(module, "computes_bfloat16", lambda: able)
    backend = load(pooling_openvino(tmp_path / "a.openvino", metadata=pooling_metadata(dtype=dtype))).backend
    computed = backend._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    assert computed == ("bf16" if able and dtype == "bfloat16" else "f32")


def test_the_files_own_kind_needs_no_device_and_takes_no_other(own_file):
    assert load(own_file).count(noise(20, 30)).count == load(own_file, device="cpu").count(noise(20, 30)).count
    with pytest.raises(UsageError, match="'cuda' is not available"):
        load(own_file, device="cuda")


def test_a_smaller_tile_than_the_fixed_one_is_padded(package, tmp_path):
    backend = load(pooling_openvino(tmp_path / "a.openvino", tile=64)).backend
    tiles = np.random.default_rng(0).standard_normal((2, 3, 32, 48)).astype(np.float32)
    np.testing.assert_allclose(backend.density(tiles), PoolingBackend().density(tiles), rtol=1e-5)


@pytest.mark.parametrize(("said", "sides"), [(None, r"\? x 3 x \? x \?"), (32, r"\? x 3 x 32 x 32")])
def test_a_network_of_another_tile_than_its_file_says_is_refused_before_it_writes_outside_its_memory(
    package, tmp_path, said, sides
):
    said = pooling_metadata(tile=said, geometry=replace(pooling_metadata().geometry, tile=32))
    pooling_file(tmp_path / "a.onnx", said.to_json(), tile=64)
    pooling_openvino(tmp_path / "b.openvino", metadata=said, tile=64)
    for name, device in (("a.onnx", "openvino"), ("b.openvino", None), ("a.onnx", "cpu")):
        with pytest.raises(UsageError, match=f"damaged: expected one input of float32 tiles .{sides}"):
            load(tmp_path / name, device=device)


def test_a_network_of_free_sides_is_refused_where_its_file_says_a_tile(package, tmp_path):
    fixed = pooling_metadata(tile=64)
    pooling_file(tmp_path / "a.onnx", fixed.to_json())
    pooling_openvino(tmp_path / "b.openvino", metadata=fixed)
    for name in ("a.onnx", "b.openvino"):
        with pytest.raises(UsageError, match=r"3 x 64 x 64"):
            load(tmp_path / name, device="openvino")


def test_a_file_of_another_framework_is_not_tried_with_its_reader(package, tmp_path, capfd):
    graph = tmp_path / "a.onnx"
    graph.write_bytes(b'node { name: "x" op: "Placeholder" }')  # TensorFlow's text
    with pytest.raises(UsageError, match="cannot be read by OpenVINO"):
        load(graph, device="openvino")
    assert capfd.readouterr().err == ""


def test_a_file_that_was_cut_short_or_is_somebody_elses_is_refused_in_one_line(package, onnx_file, own_file, tmp_path):
    for whole in (onnx_file, own_file):
        cut = tmp_path / whole.name
        cut.write_bytes(whole.read_bytes()[:-100])
        with pytest.raises(UsageError, match="cannot be read") as error:
            load(cut, device="openvino")
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="not exported by sam-mprompt"):
        load(pooling_file(tmp_path / "b.onnx", ""), device="openvino")


def test_as_many_threads_compute_as_the_environment_says(file, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert load(file, device="openvino").backend.threads == 1


def test_openvino_counts_an_onnx_file_where_onnx_runtime_is_missing(package, onnx_file, monkeypatch):
    from sam_mprompt.deploy import load as module

    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnxruntime" else object())
    assert load(onnx_file).device == "openvino"


def test_without_the_package_its_name_and_extra_are_told(onnx_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    (tmp_path / "a.openvino").write_bytes(b"")
    for path, device in ((onnx_file, "openvino"), (tmp_path / "a.openvino", None)):
        with pytest.raises(UsageError, match="package 'openvino', which is not installed") as error:
            load(path, device=device)
        assert error.value.facts == {"extra": "openvino"}
    assert load(onnx_file).device == "cpu", "ONNX Runtime is there"
