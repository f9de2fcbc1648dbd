"""Scenes of one's own: a folder of photographs without a val split."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.planning.machine import Machine
from sam_mprompt.planning.profile import Profile


def write_scene(
    folder: Path, name: str, points: Sequence[tuple[float, float]], size: tuple[int, int] = (96, 96)
) -> None:
    """Write bright squares on grey and their middles."""
    image = np.full((*size, 3), 60, np.uint8)
    for x, y in points:
        image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 230
    Image.fromarray(image).save(folder / f"{name}.png")
    (folder / f"{name}.txt").write_text("".join(f"{x} {y}\n" for x, y in points))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six training images of heads 8 pixels apart, and two of a test split."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    for number in range(8):
        write_scene(folder, f"p{number}", [(10 + 8 * i, 20 + 8 * (number % 3)) for i in range(3 + number)])
    (folder / "test.txt").write_text("p6.png\np7.png\n")
    (folder / "train.txt").write_text("".join(f"p{number}.png\n" for number in range(6)))
    return folder


@pytest.fixture
def profile_with() -> Callable[..., Profile]:
    """Thirty images of 1024 x 768 with heads 16 pixels apart, but for what is given."""

    def make(**changes: object) -> Profile:
        values: dict[str, object] = {
            "format": "points", "images": 30, "val_images": 0, "short_side": 768, "long_side": 1024,
            "smallest_side": 768, "largest_side": 1024, "heads": (10, 100, 400), "mean_heads": 120.0,
            "spacing": 16.0, "head_side": None, "heads_per_megapixel": 150.0,
        }  # fmt: skip
        return Profile(**{**values, **changes})

    return make


@pytest.fixture
def laptop() -> Machine:
    """Two cores, and a base that has seen photographs."""
    return Machine(cores=2, memory_gb=16.0, bases=("sam-tiny", "efficientnet-lite0", "efficientnet-lite2"))


@pytest.fixture
def workstation() -> Machine:
    """A GPU, and SAM's weights."""
    return Machine(16, 64.0, "A GPU", 24.0, ("sam-tiny", "sam_vit_b", "efficientnet-lite0", "efficientnet-lite2"))
