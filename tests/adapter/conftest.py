import shutil

import pytest
import torch

from sam_mprompt.adapter.calibration_file import CalibrationFile
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.scope_file import RangeRecord, ScopeFile
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

KNOWN = CalibrationFile(origin="val", heads=(4, 9, 30), counted=(5.5, 8.0, 26.5))
SEEN = ScopeFile(images=6, ranges={"brightness": RangeRecord(least=90, most=160, low=80, high=170)})


@pytest.fixture(scope="session")
def make_adapter(tiny_recipe, tmp_path_factory):
    """Write an adapter of random modules and decoders, as a training of `tiny_recipe` would write it."""

    def make(*overrides, seed=5):
        recipe = load_recipe(tiny_recipe, overrides)
        torch.manual_seed(seed)
        built = build_counter(recipe.model, recipe.tuning, segmenter=True)
        with torch.no_grad():
            for parameter in built.counter.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.1)
        path = tmp_path_factory.mktemp("adapters") / "adapter"
        figures = {"images": 3, "mae": 2.5, "rmse": 3.5, "nae": 0.5}
        metrics = {"val": figures, "epoch": 2, "seconds": 1.5}
        AdapterFolder.of(path, built, recipe, metrics=metrics, calibration=KNOWN, scope=SEEN).write()
        return path

    return make


@pytest.fixture(scope="session")
def small_adapter(make_adapter):
    """An adapter on the small base; tests only read it."""
    return make_adapter()


@pytest.fixture
def adapter(small_adapter, tmp_path):
    """A copy of an adapter that a test may damage."""
    return shutil.copytree(small_adapter, tmp_path / "adapter")
