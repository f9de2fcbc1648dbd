import numpy as np
import pytest

from sam_mprompt.ablation.compare import compare
from sam_mprompt.counting.counter import load
from sam_mprompt.errors import UsageError
from sam_mprompt.render import density_panels, mask_difference


def test_a_sheet_has_a_row_an_image_and_runs_show_their_masks(trained_run, crowd_folder):
    images = [crowd_folder / "0.png", crowd_folder / "5.png"]
    sheet, counts, without = compare(str(trained_run), str(trained_run), images, device="cpu")
    alone, _, _ = compare(str(trained_run), str(trained_run / "adapter"), images[:1], device="cpu")
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] > alone.shape[0]
    assert without == []
    counter = load(trained_run, device="cpu")
    for (path, first, second), image in zip(counts, images, strict=True):
        assert path == image
        assert first == second == pytest.approx(counter.count(image).count)


def test_an_exported_adapter_has_no_mask_to_show(trained_run, crowd_folder, tmp_path, run_cli):
    run_cli("export", trained_run, "--to", tmp_path / "copy")
    _, _, without = compare(str(trained_run), str(tmp_path / "copy"), [crowd_folder / "0.png"], device="cpu")
    assert without == [str(tmp_path / "copy")]


def test_equal_densities_look_equal_whatever_their_grid_and_weaker_ones_darker():
    image = np.full((64, 64, 3), 120, np.uint8)
    coarse = np.full((8, 8), 0.4, np.float32)
    fine = np.full((16, 16), 0.1, np.float32)
    same, finer, weak = density_panels(image, [coarse, fine, coarse / 3])
    assert np.abs(same.astype(int) - finer).max() <= 1
    assert weak[32, 32].sum() < same[32, 32].sum()


def test_three_colours_tell_the_masks_apart():
    image = np.zeros((2, 4, 3), np.uint8)
    first, second = np.zeros((2, 2, 4), bool)
    first[:, 1:3], second[:, 2:4] = True, True
    colours = mask_difference(image, first, second)[0]
    assert len({tuple(pixel) for pixel in colours.tolist()}) == 4
    assert not colours[0].any()


def test_the_command_writes_the_sheet_and_prints_both_counts(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli("compare", trained_run, trained_run, crowd_folder / "0.png", "--out", tmp_path / "sheet.png")
    assert done.code == 0, done.err
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path / "sheet.png") in done.out
    with pytest.raises(UsageError, match="No adapter"):
        compare("nobody", str(trained_run), [crowd_folder / "0.png"], device="cpu")
