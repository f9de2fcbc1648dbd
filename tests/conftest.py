"""What several test modules share."""

import os
from pathlib import Path

import pytest
import torch

REAL_DATA_VARIABLE = "SAM_MPROMPT_REAL_DATA"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real crowd images in official layouts; it never ships, so tests that use it skip elsewhere."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get(REAL_DATA_VARIABLE, default))
    if not (folder / "shanghaitech").is_dir():
        pytest.skip(f"no real images: set ${REAL_DATA_VARIABLE} to a folder with shanghaitech/ in its official layout")
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
