import json

import numpy as np
import pytest
import torch
from PIL import Image

from sam_mprompt.data.augment import AnnotatedImage, horizontal_flip, random_crop
from sam_mprompt.data.dataset import frame_targets
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.data.masks import mask_path, read_mask, write_mask
from sam_mprompt.data.sources import open_split
from sam_mprompt.errors import UsageError
from sam_mprompt.masks.make import BoxMasks, PointMasks, SegmenterMasks, make_masks
from sam_mprompt.recipe.schema import load_recipe, parse_recipe
from sam_mprompt.targets import box_mask, point_mask
from sam_mprompt.training.finetune import finetune
from sam_mprompt.training.run import RunFolder


def files_recipe(folder, **data):
    table = {"data": {"format": "points", "min_side": 64, **data}}
    return parse_recipe({**table, "targets": {"pseudo_mask": "files", "masks": str(folder)}}, source="test")


def test_a_mask_comes_back_from_its_file_as_it_was(tmp_path):
    mask = np.random.default_rng(0).random((37, 53)) > 0.5
    write_mask(tmp_path / "deep" / "m.png", mask)
    assert np.array_equal(read_mask(tmp_path / "deep" / "m.png", (37, 53)), mask)
    assert Image.open(tmp_path / "deep" / "m.png").mode == "1"


def test_a_missing_broken_or_foreign_mask_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No pseudo mask"):
        read_mask(tmp_path / "none.png", (4, 4))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="decoded"):
        read_mask(tmp_path / "broken.png", (4, 4))
    write_mask(tmp_path / "small.png", np.ones((4, 4), bool))
    with pytest.raises(UsageError, match="4x4 pixels, its image 8x6"):
        read_mask(tmp_path / "small.png", (6, 8))


def test_every_annotated_image_gets_its_mask_and_a_second_call_keeps_them(crowd_folder, tmp_path):
    done = []
    made = make_masks(BoxMasks(), crowd_folder, tmp_path, progress=lambda *now: done.append(now))
    assert (made.made, made.kept) == (11, 0)
    assert done[-1] == (11, 11)
    sample = read_split(crowd_folder, "train").samples[0]
    mask = read_mask(mask_path(tmp_path, sample.image, crowd_folder), sample.size)
    assert np.array_equal(mask, box_mask(sample.boxes, sample.size))
    assert made.preview.is_file()
    mask_path(tmp_path, sample.image, crowd_folder).unlink()
    again = make_masks(BoxMasks(), crowd_folder, tmp_path)
    assert (again.made, again.kept) == (1, 10)


def test_masks_of_another_source_are_not_mixed_with_those_that_are_there(crowd_folder, tmp_path):
    make_masks(PointMasks(3), crowd_folder, tmp_path / "m")
    assert json.loads((tmp_path / "m" / "masks.json").read_text()) == {"source": "points", "dilation": 3}
    with pytest.raises(UsageError, match="holds masks of"):
        make_masks(PointMasks(4), crowd_folder, tmp_path / "m")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="other files"):
        make_masks(PointMasks(4), crowd_folder, tmp_path / "x")


def test_a_recipe_reads_the_files_as_if_it_had_made_the_masks_itself(crowd_folder, tmp_path):
    make_masks(PointMasks(5), crowd_folder, tmp_path)
    recipe = files_recipe(tmp_path)
    source = open_split(recipe, "train", crowd_folder).source
    frame = source.frame(0, 2)
    targets = frame_targets(frame, recipe.targets, stride=4)
    own = recipe.targets.model_copy(update={"pseudo_mask": "points", "point_dilation": 5})
    expected = frame_targets(frame, own, stride=4).pseudo_mask
    assert expected.any()
    assert np.mean(targets.pseudo_mask ^ expected) < 0.02  # a cell's middle falls on one pixel or the next


@pytest.mark.parametrize("zoom", [0.7, 1.0, 1.6])
def test_the_mask_moves_with_the_image_under_crop_zoom_and_flip(zoom):
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 190, (12, 2)).astype(np.float32)
    mask = point_mask(points, (200, 200), dilation=9)
    image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
    frame = random_crop(AnnotatedImage(image, points, np.ones(12), None, mask), 96, (zoom, zoom), rng)
    frame = horizontal_flip(frame)
    assert frame.mask.shape == frame.image.shape[:2]
    assert np.mean(frame.mask ^ (frame.image[..., 0] > 127)) < 0.03


def test_files_and_their_folder_come_together(tmp_path, crowd_folder):
    for targets in ({"pseudo_mask": "files"}, {"pseudo_mask": "boxes", "masks": "m"}):
        with pytest.raises(UsageError, match=r"targets\.masks: expected"):
            parse_recipe({"targets": targets}, source="test")
    with pytest.raises(UsageError, match=r"targets\.masks: no folder"):
        open_split(files_recipe(tmp_path / "nothing"), "train", crowd_folder)


def test_a_runs_segmenter_makes_the_masks_that_it_showed_while_training(trained_run, crowd_folder, tmp_path):
    source = SegmenterMasks(trained_run, device=torch.device("cpu"))
    made = make_masks(source, crowd_folder, tmp_path)
    assert made.made == 11
    sample = read_split(crowd_folder, "val").samples[0]
    mask = read_mask(mask_path(tmp_path, sample.image, crowd_folder), sample.size)
    assert mask.shape == sample.size
    average = source.run.counter.segmenter.output.weight
    assert average.abs().sum() > 0


def test_a_segmenter_sees_images_at_the_scale_that_is_asked_for(trained_run, crowd_folder):
    source = SegmenterMasks(trained_run, ["data.scale=0.5", "data.min_side=8"], device=torch.device("cpu"))
    image = np.zeros((64, 96, 3), np.uint8)
    plain = SegmenterMasks(trained_run, ["data.min_side=8"], device=torch.device("cpu")).run.predict(image)
    assert source.run.predict(image).cell[0] == 2 * plain.cell[0]
    assert source.settings["set"] == ["data.scale=0.5", "data.min_side=8"]
    assert source(image, read_split(crowd_folder, "val").samples[0]).shape == (64, 96)


def test_the_segmenter_source_takes_a_runs_averaged_weights(trained_run):
    from safetensors.torch import load_file

    state = load_file(trained_run / "state" / "state.safetensors")
    source = SegmenterMasks(trained_run, device=torch.device("cpu"))
    name = "segmenter.output.weight"
    assert torch.equal(source.run.counter.state_dict()[name], state[f"average.{name}"])
    assert not torch.equal(state[f"average.{name}"], state[f"model.{name}"])


def test_a_run_without_a_segmenter_and_no_run_at_all_are_refused(tmp_path, tiny_recipe, crowd_folder):
    with pytest.raises(UsageError, match="no run folder"):
        SegmenterMasks(tmp_path, device=torch.device("cpu"))
    recipe = load_recipe(tiny_recipe, ["loss.segmentation=0.0", "loss.context=0.0", "train.epochs=1"])
    finetune(recipe, data=crowd_folder, run=RunFolder(tmp_path / "run"))
    with pytest.raises(UsageError, match="no segmenter"):
        SegmenterMasks(tmp_path / "run", device=torch.device("cpu"))


def test_the_command_says_where_the_masks_are_and_how_to_use_them(run_cli, crowd_folder, tmp_path):
    done = run_cli("masks", "--source", "boxes", "--data", crowd_folder, "--out", tmp_path / "m")
    assert done.code == 0, done.err
    assert "11 masks made" in done.out
    assert f"targets.masks={tmp_path / 'm'}" in done.out
    assert run_cli("masks", "--source", "segmenter", "--data", crowd_folder, "--out", tmp_path / "n").code == 2


@pytest.mark.parametrize("content", ["{", '{"source": "points", "source": "boxes"}', "[" * 100_000, "9" * 5000, "[]"])
def test_a_damaged_record_of_the_masks_is_refused_in_one_line(crowd_folder, tmp_path, content):
    make_masks(PointMasks(3), crowd_folder, tmp_path)
    (tmp_path / "masks.json").write_text(content)
    with pytest.raises(UsageError, match=r"not known what the masks are made by: '.*masks\.json'") as caught:
        make_masks(PointMasks(3), crowd_folder, tmp_path)
    assert "\n" not in str(caught.value)


def test_masks_of_stretched_images_are_kept_apart_and_what_is_left_out_is_told(run_cli, tmp_path):
    data = tmp_path / "d"
    data.mkdir()
    for name, size in {"a": (40, 30), "b": (40, 30), "c": (80, 60), "d": (40, 30)}.items():
        Image.fromarray(np.full(size[::-1], 4095, np.uint16)).save(data / f"{name}.png")
        (data / f"{name}.txt").write_text("5 5\n")
    (data / "IMG_1.gif").touch()
    (data / "val.txt").write_text("d\n")
    asked = ["masks", "--source", "points", "--data", data, "--out", tmp_path / "m", "--max-pixels", 1200]
    done = run_cli(*asked, "--stretch")
    assert done.code == 0, done.err
    assert "3 masks made" in done.out
    assert "unreadable images, left out: 1 (c.png)" in done.err
    assert "files that nothing reads: 1 (IMG_1.gif)" in done.err
    assert "bits" not in done.err
    assert json.loads((tmp_path / "m" / "masks.json").read_text())["stretch"] is True
    assert run_cli(*asked).code == 2
