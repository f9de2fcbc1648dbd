import json

import numpy as np
import pytest
from PIL import Image
from pooling_backend import AS_IS, PoolingBackend, known_density, noise
from pooling_file import pooling_file, pooling_metadata

from sam_mprompt import load
from sam_mprompt.counting.any_counter import AnyCounter
from sam_mprompt.counting.counter import Counter
from sam_mprompt.counting.predict import count_many
from sam_mprompt.counting.region import Region
from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return pooling_file(tmp_path_factory.mktemp("files") / "pooling.onnx")


def test_a_file_counts_as_any_backend_does(file, tmp_path):
    counter = load(file)
    images = [noise(90, 70, seed=1), noise(200, 150, seed=2)]
    geometry = Geometry(**AS_IS, tile=64, overlap=16)
    expected = list(count_many(PoolingBackend(), images, geometry))
    for found, other in zip(counter.count_many(images, batch_size=3), expected, strict=True):
        np.testing.assert_allclose(found.density, other.density, rtol=1e-5)
    assert counter.count(images[0]).count == pytest.approx(known_density(images[0], 4).sum(), rel=1e-5)


def test_a_file_knows_error_bars_and_scope(file):
    result = load(file).count(noise(40, 40))
    assert str(result.interval()) == str(pooling_metadata().calibration.interval(result.count))
    assert result.warnings == ("its shorter side is 40 px, 50 to 60 px in training",)


def test_a_file_counts_regions_points_and_videos(file, tmp_path):
    counter = load(str(file))
    image = noise(64, 64)
    left = Region("left", ((((0, 0), (32, 0), (32, 64), (0, 64)),),))
    result = counter.count(image)
    assert len(result.points()) == round(result.count)
    half = known_density(image[:, :32], 4).sum()
    assert result.regions([left])["left"].count == pytest.approx(half, rel=1e-5)
    for number in range(3):
        Image.fromarray(noise(32, 32, seed=number)).save(tmp_path / f"{number}.png")
    frames = list(counter.count_video(tmp_path, fps=1, every="1f"))
    assert [frame.count for frame in frames] == pytest.approx(
        [known_density(noise(32, 32, seed=number), 4).sum() for number in range(3)], rel=1e-5
    )


def test_how_16_bit_images_are_read_is_the_adapters_or_the_callers(tmp_path):
    trained = json.loads(pooling_metadata().to_json())
    trained["trained_on"]["stretch"] = True
    file = pooling_file(tmp_path / "a.onnx", json.dumps(trained))
    assert load(file).reading.stretch
    assert not load(file, stretch=False).reading.stretch
    assert load(file, max_pixels=77).reading.max_pixels == 77


@pytest.mark.parametrize("option", [{"base": "sam-tiny"}, {"precision": "fp16"}, {"compile": True}])
def test_what_changes_a_network_is_refused_for_a_file(file, option):
    with pytest.raises(UsageError, match=f"expected no {next(iter(option))}"):
        load(file, **option)


def test_a_file_has_one_network(file):
    counter = load(file)
    assert (counter.active, list(counter.adapters)) == ("default", ["default"])
    counter.use("default")
    for call in (lambda: counter.use("other"), lambda: counter.count(noise(9, 9), adapter="other")):
        with pytest.raises(UsageError, match="No adapter 'other'"):
            call()
    with pytest.raises(UsageError, match="is fixed"):
        counter.load_adapter("adapters/demo", name="other")


def test_a_file_says_what_it_is(file):
    facts = load(file).facts()
    json.dumps(facts)
    assert facts["bytes"] == file.stat().st_size
    assert (facts["kind"], facts["precision"], facts["sides_of_tiles"]) == ("onnx", "float32", "multiples of 16 px")
    assert facts["interval"] == f"from 20 held-out images, errors {pooling_metadata().calibration.growth}"
    assert (facts["base_fingerprint"], facts["training_saw"]) == ("sha256:0", ["side"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"No file '.*nowhere\.onnx'"):
        load(tmp_path / "nowhere.onnx")


def test_a_folder_is_loaded_onto_its_base(trained_run):
    counter = load(trained_run, device="cpu")
    assert isinstance(counter, Counter)
    assert isinstance(counter, AnyCounter)
