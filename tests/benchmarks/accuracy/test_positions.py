import numpy as np
import pytest
from PIL import Image

from benchmarks.accuracy import positions
from sam_mprompt.models.sam_encoder import SamEncoder


@pytest.fixture
def picture(tmp_path):
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 255, (90, 130, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_images_cover_a_square_and_their_middle_is_taken(picture):
    [image] = positions.pictures([picture], 64, 3)
    assert image.shape == (64, 64, 3)
    assert len(list(positions.pictures([picture / "a.png"] * 5, 96, 2))) == 2


def test_a_crop_as_large_as_the_whole_has_its_features_under_every_rule(picture, tiny_base):
    side = SamEncoder.from_checkpoint(tiny_base).config.span * 16
    images = list(positions.pictures([picture], side, 1))
    rows = positions.compared(str(tiny_base), images, side)
    assert [row[:3] for row in rows] == [[rule, "1.0000", "1.0000"] for rule in ("resample", "slice", "center")]


def test_a_smaller_crop_has_others(picture, tiny_base):
    side = SamEncoder.from_checkpoint(tiny_base).config.span * 16
    rows = positions.compared(str(tiny_base), list(positions.pictures([picture], side, 1)), side // 2)
    assert all(float(row[1]) < 1 for row in rows)
