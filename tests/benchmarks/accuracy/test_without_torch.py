import sys
from pathlib import Path

import pytest

from benchmarks.accuracy.without_torch import Lite, difference


def test_a_difference_is_relative_to_the_count_and_to_one_head_where_there_are_fewer():
    assert difference([100.0, 0.5], [100.01, 0.5]) == pytest.approx(1e-4)
    assert difference([100.0, 0.0], [100.0, 0.25]) == 0.25


def test_a_python_that_has_torch_is_no_environment_without_it(tmp_path):
    with pytest.raises(SystemExit, match=r"Expected a Python without torch.*got one with .*'torch'"):
        Lite(Path(sys.executable), tmp_path)
