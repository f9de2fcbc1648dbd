import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from sam_mprompt.counting.result import CountResult
from sam_mprompt.errors import UsageError


@pytest.fixture
def result():
    density = np.zeros((8, 10), np.float32)
    density[2, 3] = density[6, 8] = density[0, 0] = 1
    return CountResult(density, None, (64, 80), (8.0, 8.0))


def test_detections_are_the_points_one_by_one(result, monkeypatch):
    module = ModuleType("supervision")
    module.Detections = SimpleNamespace
    monkeypatch.setitem(sys.modules, "supervision", module)
    found = result.to_supervision()
    assert len(result.points()) == 3
    np.testing.assert_allclose((found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2, result.points(), atol=1e-4)
    assert found.xyxy.dtype == np.float32
    assert found.class_id.tolist() == [0, 0, 0]
    assert found.class_id.dtype == np.int64
    assert found.data["class_name"].tolist() == ["head"] * 3
    result.density[0, 0] = 0.6
    assert len(result.to_supervision(threshold=0.7).xyxy) == len(result.points(0.7)) == 2


def test_without_the_package_one_line_says_which(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    said = (
        "^Detections need the package 'supervision', .* expected it beside this one [(]pip install supervision[)][.]$"
    )
    with pytest.raises(UsageError, match=said):
        result.to_supervision()
