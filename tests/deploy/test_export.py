import numpy as np
import onnx
import pytest
from pooling_backend import noise

from sam_mprompt import load
from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.deploy import export as module
from sam_mprompt.deploy.capture import merged
from sam_mprompt.deploy.export import export
from sam_mprompt.deploy.metadata import Metadata
from sam_mprompt.deploy.narrow import IN_FLOAT32
from sam_mprompt.deploy.openvino_backend import computes_bfloat16
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.model import SamModel, TimmModel
from sam_mprompt.recipe.tuning import Full, Peft
from sam_mprompt.training.run import RunFolder


@pytest.fixture(scope="module")
def folder(trained_run):
    return AdapterFolder.read(RunFolder(trained_run).adapter)


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    return export(folder, tmp_path_factory.mktemp("exported") / "tiny.onnx")


@pytest.mark.slow
def test_a_file_counts_images_of_every_size_as_its_adapter_does(folder, exported):
    file, adapter = load(exported.path, device="cpu"), load(folder.path, device="cpu")
    for size in ((96, 96), (64, 90), (200, 130), (70, 300)):
        image = noise(*size)
        found, expected = file.count(image), adapter.count(image)
        assert found.count == pytest.approx(expected.count, rel=1e-4)
        np.testing.assert_allclose(found.density, expected.density, atol=1e-5)
        assert found.why_no_interval() is not None


@pytest.mark.slow
def test_a_file_holds_no_segmenter_no_path_and_says_what_it_is(folder, exported):
    model = onnx.load(str(exported.path))
    names = [entry.name for entry in model.graph.initializer]
    assert any("regressor" in name for name in names)
    whole = exported.path.read_bytes()
    assert b"segmenter" not in whole
    assert b"site-packages" not in whole
    assert str(folder.path.parent).encode() not in whole
    [entry] = model.metadata_props
    known = Metadata.from_json(entry.value, "it")
    assert known.base_fingerprint == folder.info.base_fingerprint
    assert known.adapter_fingerprint == f"sha256:{folder.info.sha256['adapter_model.safetensors']}"
    assert known.geometry == folder.geometry
    assert known.parity == exported.parity.as_dict()
    assert exported.parity.count < 1e-4


@pytest.mark.slow
def test_normalisation_and_softmax_stay_float32_in_a_float16_file(folder, tmp_path):
    half = export(folder, tmp_path / "half.onnx", dtype="float16", tile=96)
    model = onnx.load(str(half.path))
    types = {entry.name: entry.data_type for entry in model.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types.values()
    made = {name: node for node in model.graph.node for name in node.output}
    kept = [node for node in model.graph.node if node.op_type in ("LayerNormalization", "Softmax")]
    assert kept
    assert set(IN_FLOAT32) >= {node.op_type for node in kept}
    for node in kept:
        cast = made[node.input[0]]
        assert cast.op_type == "Cast"
        assert cast.attribute[0].i == onnx.TensorProto.FLOAT
    assert half.metadata.tile == 96
    assert half.metadata.geometry.tile_step == 0  # a network of one size only gains nothing by smaller tiles


@pytest.mark.slow
def test_an_int8_file_computes_in_int8_and_counts_nearly_the_same(folder, tmp_path):
    made = export(
        folder, tmp_path / "int8.onnx", dtype="int8", tile=96, images=[noise(96, 96, seed=s) for s in range(6)]
    )
    model = onnx.load(str(made.path))
    assert sum(entry.data_type == onnx.TensorProto.INT8 for entry in model.graph.initializer) > 5
    assert made.parity.images == 3
    assert made.parity.total < 0.05


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory):
    """A folder of recipe shb-scratch with random weights."""
    from sam_mprompt.recipe.schema import load_recipe

    recipe = load_recipe("shb-scratch")
    assert isinstance(recipe.model, TimmModel)
    assert isinstance(recipe.tuning, Full)
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    path = tmp_path_factory.mktemp("convolutional") / "scratch"
    AdapterFolder.of(path, built, recipe, metrics={}).write()
    return path


@pytest.mark.slow
def test_in_int8_the_convolutions_of_a_network_without_normalisation_take_its_relus_in(convolutional, tmp_path):
    images = [noise(224, 300, seed=s) for s in range(4)]
    made = export(AdapterFolder.read(convolutional), tmp_path / "int8.onnx", dtype="int8", tile=224, images=images)
    left = [node.op_type for node in onnx.load(str(made.path)).graph.node]
    assert left.count("Conv") > 40
    assert left.count("Relu") == 1  # that of the density
    assert made.parity.total < 0.05


@pytest.mark.slow
def test_in_int8_a_trained_network_with_relu6_counts_as_before(tmp_path):
    made = export(AdapterFolder.read(find_adapter("street")), tmp_path / "int8.onnx", dtype="int8", tile=448)
    left = [node.op_type for node in onnx.load(str(made.path)).graph.node]
    assert left.count("DequantizeLinear") > 60
    assert "Clip" not in left
    assert made.parity.total < 0.03


@pytest.mark.slow
def test_a_convolutional_counter_with_a_gate_is_one_file_for_all_sizes(convolutional, tmp_path):
    path = convolutional
    made = export(AdapterFolder.read(path), tmp_path / "scratch.onnx", images=[noise(224, 300)])
    image = noise(300, 411)
    assert load(made.path).count(image).count == pytest.approx(load(path).count(image).count, rel=1e-4, abs=1e-4)


def test_an_adapter_that_can_be_merged_is_folded_into_the_base_and_computes_the_same(tiny_base):
    import torch

    built = build_counter(SamModel(base=str(tiny_base)), Peft(method="lora"), segmenter=False)
    with torch.no_grad():
        for name, parameter in built.counter.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    counter = built.counter.eval()
    folded = merged(counter)
    assert not [name for name, _ in folded.named_parameters() if "lora" in name]
    tiles = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(tiles).density, counter(tiles).density, rtol=1e-4, atol=1e-5)
    assert [name for name, _ in counter.named_parameters() if "lora" in name], "the counter itself stays as it is"


@pytest.mark.slow
def test_an_adapter_of_the_lora_family_counts_alike_from_both_kinds_of_file(tiny_recipe, tmp_path):
    import torch

    from sam_mprompt.recipe.schema import load_recipe

    recipe = load_recipe(tiny_recipe, ["tuning.method=lora"])
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    with torch.no_grad():
        for name, parameter in built.counter.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    path = tmp_path / "lora"
    AdapterFolder.of(path, built, recipe, metrics={}).write()
    image = noise(64, 64)  # one tile, which no padding makes another for the network
    expected = load(path, device="cpu").count(image).count
    for kind in ("onnx", "openvino"):
        if kind == "openvino":
            pytest.importorskip("openvino")
        made = export(AdapterFolder.read(path), tmp_path / f"a.{kind}", kind=kind, tile=64, images=[noise(96, 96)])
        found = load(made.path)
        assert found.count(image).count == pytest.approx(expected, rel=1e-4)
        assert found.facts()["tuning"] == "lora"
        assert b"lora" not in made.path.read_bytes().replace(b'"lora"', b""), "merged: only the metadata tell of it"


@pytest.mark.parametrize("tile", [8, 100])
def test_a_tile_that_the_network_does_not_take_is_refused_before_any_work(folder, tmp_path, tile):
    with pytest.raises(UsageError, match=f"multiple of 16.*got {tile}"):
        export(folder, tmp_path / "a.onnx", tile=tile)


@pytest.mark.slow
def test_a_bfloat16_file_counts_nearly_the_same_and_is_smaller(folder, tmp_path):
    pytest.importorskip("openvino")
    if not computes_bfloat16():
        pytest.skip("a CPU that multiplies bfloat16 is needed")
    wide, narrow = (
        export(folder, tmp_path / f"{dtype}.openvino", kind="openvino", dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    assert narrow.metadata.dtype == "bfloat16"
    assert 0 < narrow.parity.total < 0.02
    assert narrow.path.stat().st_size < 0.75 * wide.path.stat().st_size  # the graph is a third of so small a network
    # OpenVINO would choose bfloat16 by itself for each file
    assert wide.parity.count < 1e-4


def test_bfloat16_is_refused_where_nothing_can_be_compared_in_it(folder, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(module, "computes_bfloat16", lambda: False)
    with pytest.raises(UsageError, match="expected a CPU that computes in it, or another dtype"):
        export(folder, tmp_path / "a.openvino", kind="openvino", dtype="bfloat16")
    with pytest.raises(UsageError, match="got 'onnx' in bfloat16"):
        export(folder, tmp_path / "a.onnx", dtype="bfloat16")


def test_an_unknown_dtype_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="float8"):
        export(folder, tmp_path / "a.onnx", dtype="float8")


def test_nothing_is_left_of_a_file_whose_counts_are_off(folder, tmp_path, monkeypatch):
    from pooling_file import pooling_file

    wrong = onnx.load(str(pooling_file(tmp_path / "wrong.onnx")))
    monkeypatch.setattr(module, "capture", lambda *_: None)
    monkeypatch.setattr(module, "onnx_model", lambda _: wrong)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.onnx").write_text("older")
    with pytest.raises((RunError, UsageError)):
        export(folder, tmp_path / "out" / "a.onnx", images=[noise(96, 96)])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.onnx"]
    assert (tmp_path / "out" / "a.onnx").read_text() == "older"
