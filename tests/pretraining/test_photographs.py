import sys

import numpy as np
import pytest
import torch
from PIL import Image

from sam_mprompt.cli.advice import advised
from sam_mprompt.errors import UsageError
from sam_mprompt.pretraining.photographs import CARRIED, PhotographCrops, find_photographs, random_view, recoloured


def saved(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    return [saved(tmp_path / f"{name}.png", rng.integers(0, 256, (40, 60, 3))) for name in "ab"]


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Packages of the right names with small photographs, which cannot be imported."""
    for module, carried in CARRIED.items():
        for name in carried.files:
            saved(tmp_path / module / carried.folder / name, np.zeros((8, 8, 3)))
        (tmp_path / module / "__init__.py").write_text("raise RuntimeError('imported')")
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def crops(files, **changes):
    return PhotographCrops(files, **{"crops": 3, "side": 32, "seed": 0, **changes})


def coordinates(height=120, width=200):
    """An image whose red is the share of the way to the right, green that to the bottom."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns * 255 / width, rows * 255 / height, 0 * rows], axis=2).astype(np.uint8)


def test_a_batch_is_the_same_in_any_process_and_no_crop_comes_twice(photographs):
    first, again = crops(photographs)[4], crops(photographs)[4]
    assert first.shape == (3, 3, 32, 32)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    others = crops(photographs)[5], crops(photographs, seed=1)[4]
    assert not any(torch.equal(a, b) for other in others for a in first for b in other)
    assert not torch.equal(first[0], first[1])


def test_a_view_spans_from_a_small_part_to_the_whole_and_half_of_them_are_mirrored():
    image, rng = coordinates(), np.random.default_rng(0)
    spans, rightwards = [], []
    for _ in range(200):
        view = random_view(image, 32, rng).astype(float)
        middle = view[12:20, 12:20]
        spans.append(np.ptp(view[:, :, 0]) * np.ptp(view[:, :, 1]) / 255**2)
        rightwards.append(middle[:, -1, 0].mean() > middle[:, 0, 0].mean())
    assert min(spans) < 0.06
    assert max(spans) > 0.9
    assert 0.35 < np.mean(rightwards) < 0.65


def test_a_view_shows_nothing_but_the_photograph():
    white = np.full((30, 50, 3), 255, np.uint8)
    assert all((random_view(white, 32, np.random.default_rng(seed)) == 255).all() for seed in range(20))


def test_a_view_of_a_large_photograph_is_averaged_not_sampled():
    board = (np.indices((600, 600)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    whole = [random_view(board, 16, np.random.default_rng(seed)) for seed in range(10)]
    assert all(abs(view.astype(float) - 127.5).max() < 40 for view in whole)


def test_a_crop_sometimes_shows_a_part_of_another_view(tmp_path):
    files = [saved(tmp_path / f"{value}.png", np.full((30, 30, 3), value)) for value in (60, 180)]
    batch = crops(files, crops=200)[0].float()
    mixed = float((batch.flatten(1).std(1) > 1).float().mean())
    assert 0.05 < mixed < 0.25  # a quarter have a part of another view, half of which are of the other photograph


def test_colours_change_and_are_sometimes_grey():
    orange = np.full((4, 4, 3), (200, 120, 40), np.uint8)
    found = [recoloured(orange, np.random.default_rng(seed))[0, 0].astype(int) for seed in range(100)]
    grey = [np.ptp(pixel) == 0 for pixel in found]
    assert 0.05 < np.mean(grey) < 0.3
    assert len({tuple(pixel) for pixel in found}) > 80
    coloured = [pixel for pixel, none in zip(found, grey, strict=True) if not none]
    assert {int(np.argmax(pixel)) for pixel in coloured} == {0, 1}  # from red to yellow, never blue
    assert {int(np.argmin(pixel)) for pixel in coloured} >= {2}


def test_the_photographs_of_the_packages_are_found_without_importing_them(packages):
    found = find_photographs("packages")
    assert len(found) == len(set(found)) == 12
    assert all(path.is_file() and packages in path.parents for path in found)


@pytest.mark.parametrize("module", CARRIED)
def test_a_missing_package_is_told_with_the_extra_that_brings_it(packages, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=f"the package '{module}' carries some, and is not installed") as told:
        find_photographs("packages")
    assert advised(told.value).endswith("pip install 'sam-mprompt[distil]'.")


def test_a_package_that_lacks_a_photograph_is_refused(packages):
    (packages / "skimage" / "data" / "coffee.png").unlink()
    with pytest.raises(UsageError, match=r"skimage/data' lacks coffee\.png\. Give a folder of photographs"):
        find_photographs("packages")


def test_a_folder_is_a_source_and_one_without_images_is_refused(tmp_path, photographs):
    assert find_photographs(str(tmp_path)) == photographs
    with pytest.raises(UsageError, match=r"expected a folder of images, or 'packages'; '.*nothing' holds none"):
        find_photographs(str(tmp_path / "nothing"))
