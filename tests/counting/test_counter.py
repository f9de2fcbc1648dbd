import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import sam_mprompt
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.tuning.adapters import disable


@pytest.fixture(scope="module")
def other_run(tmp_path_factory, tiny_recipe, crowd_folder):
    """A second adapter on the same base, with other prompt modules and another head."""
    run = tmp_path_factory.mktemp("other") / "run"
    recipe = load_recipe(tiny_recipe, ["train.seed=7", "tuning.bottleneck=4", "model.stem_channels=4"])
    TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(run)).fit()
    return run


@pytest.fixture
def counter(trained_run):
    return sam_mprompt.load(trained_run / "adapter", device="cpu")


def test_paths_pil_images_and_arrays_count_the_same(counter, crowd_folder):
    path = crowd_folder / "5.png"
    counts = [counter.count(image).count for image in (path, str(path), Image.open(path), np.asarray(Image.open(path)))]
    assert counts == pytest.approx([counts[0]] * 4)


def test_a_result_has_count_density_points_and_overlay(counter, crowd_folder):
    result = counter.count(crowd_folder / "5.png")
    assert result.density.sum(dtype=np.float64) == pytest.approx(result.count, rel=1e-5)
    assert result.points().shape == (round(result.count), 2)
    height, width = result.image_size
    assert result.overlay().shape == (height, width, 3)


def test_many_images_keep_their_order(counter, crowd_folder):
    paths = sorted(crowd_folder.glob("*.png"))
    single = [counter.count(path).count for path in paths]
    assert [result.count for result in counter.count_many(paths, batch_size=3)] == pytest.approx(single, rel=1e-5)
    assert [result.image for result in counter.count_many(paths)] == paths


def test_two_adapters_on_one_base_count_as_each_alone(counter, other_run, trained_run, crowd_folder):
    image = crowd_folder / "7.png"
    alone = {
        "default": counter.count(image).count,
        "other": sam_mprompt.load(other_run, device="cpu").count(image).count,
    }
    counter.load_adapter(other_run, name="other")
    assert counter.count(image).count == alone["default"]
    for name in ("other", "default", "other"):
        counter.use(name)
        assert counter.count(image).count == pytest.approx(alone[name], rel=1e-6)
    assert alone["other"] != alone["default"]
    assert set(counter.adapters) == {"default", "other"}


def test_a_loaded_counter_shares_one_base_and_trains_nothing(counter, other_run):
    counter.load_adapter(other_run, name="other")
    first = counter.model
    counter.use("other")
    assert counter.model.encoder is first.encoder
    assert not any(parameter.requires_grad for parameter in counter.model.parameters())
    assert not counter.model.training


def test_disabling_the_adapter_changes_the_features(counter):
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (prompted,) = counter.model.encoder(images)
        with disable(counter.model.encoder):
            assert not torch.equal(counter.model.encoder(images)[0], prompted)
        assert torch.equal(counter.model.encoder(images)[0], prompted)


def test_unknown_names_get_a_suggestion(counter, trained_run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="Did you mean 'default'"):
        counter.use("defualt")
    with pytest.raises(UsageError, match="loaded already"):
        counter.load_adapter(trained_run, name="default")
    shutil.copytree(trained_run, tmp_path / "runs" / "station")
    monkeypatch.chdir(tmp_path)
    assert sam_mprompt.load("station", device="cpu").adapters["default"].parts[:2] == ("runs", "station")
    with pytest.raises(UsageError, match="Did you mean 'station'"):
        sam_mprompt.load("statoin")


def test_a_missing_gpu_is_said_plainly(trained_run):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="torch sees no GPU"):
        sam_mprompt.load(trained_run, device="cuda")


def test_importing_the_package_and_its_command_line_imports_no_torch():
    code = (
        "import sys, sam_mprompt, sam_mprompt.cli.app;"
        "print([m for m in ('torch', 'peft', 'timm', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
