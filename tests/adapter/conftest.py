import shutil

import pytest


@pytest.fixture
def adapter(trained_run, tmp_path):
    """A copy of a trained adapter that a test may damage."""
    return shutil.copytree(trained_run / "adapter", tmp_path / "adapter")
