"""What version 0.1.0 saved gives the same counts today (see tests/frozen/README.md)."""

import json
import math
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

import sam_mprompt
from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tuning.methods import methods

ARCHIVE = Path(__file__).with_name("frozen") / "v0_1.tar.xz"


def _expected() -> dict[str, Any]:
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile("v0_1/expected.json")
        assert file is not None
        content: dict[str, Any] = json.load(file)
        return content


EXPECTED = _expected()
COUNTS: dict[str, float] = EXPECTED["counts"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of files of 0.1.0; tests only read it."""
    folder = tmp_path_factory.mktemp("frozen")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "v0_1"


@pytest.fixture
def saved(unpacked, monkeypatch):
    """The same as the working directory: the recipes name the base by its file there."""
    monkeypatch.chdir(unpacked)
    return unpacked


def test_an_adapter_of_every_tuning_method_is_kept():
    assert set(methods()) - COUNTS.keys() == {"adamss"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in COUNTS if name != "run"])
def test_an_adapter_of_version_0_1_counts_what_it_counted(saved, name):
    result = sam_mprompt.load(saved / "adapters" / name, device="cpu").count("crowd.png")
    assert math.isclose(result.count, COUNTS[name], rel_tol=1e-5)


def test_a_run_of_version_0_1_counts_what_it_counted(saved):
    assert math.isclose(sam_mprompt.load("run", device="cpu").count("crowd.png").count, COUNTS["run"], rel_tol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_run_of_version_0_1_goes_on_to_the_same_figures(unpacked, tmp_path, monkeypatch, run_cli):
    saved = shutil.copytree(unpacked, tmp_path / "v0_1")
    monkeypatch.chdir(saved)
    arguments = ("--recipe", "tiny.toml", "--data", "crowd", "--out", "run", "--resume", "--set", "train.epochs=3")
    assert run_cli("finetune", *arguments).code == 0
    last = json.loads((saved / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {key: last[key] for key in EXPECTED["resumed"]} == pytest.approx(EXPECTED["resumed"], rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_recipe_of_version_0_1_means_what_it_meant(saved):
    train = load_recipe("tiny.toml").train
    assert (train.gradient_accumulation, train.max_grad_norm, train.init_from) == (2, 1.0, "")
    assert load_recipe(find_adapter("run") / "recipe.toml").train == train
