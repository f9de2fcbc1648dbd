import warnings

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.data.sources import data_root, format_of, open_split
from sam_mprompt.errors import DimImageWarning, UsageError
from sam_mprompt.geometry import resized
from sam_mprompt.recipe.schema import load_recipe, parse_recipe


def test_the_data_folder_is_the_given_one_else_the_variables_else_the_recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAM_MPROMPT_DATA", raising=False)
    recipe = load_recipe("nwpu")
    for folder in ("given", "shared/nwpu", "data/nwpu"):
        (tmp_path / folder).mkdir(parents=True)
    assert data_root(recipe.data, None).as_posix() == "data/nwpu"
    monkeypatch.setenv("SAM_MPROMPT_DATA", str(tmp_path / "shared"))
    assert data_root(recipe.data, None) == tmp_path / "shared" / "nwpu"
    assert data_root(recipe.data, tmp_path / "given") == tmp_path / "given"


def test_a_missing_data_folder_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAM_MPROMPT_DATA", raising=False)
    with pytest.raises(UsageError, match=r"data/nwpu.*SAM_MPROMPT_DATA"):
        data_root(load_recipe("nwpu").data, None)


def test_points_move_with_the_image_when_it_is_resized(crowd_folder):
    recipe = parse_recipe({"data": {"format": "points", "min_side": 200}}, source="test")
    source = open_split(recipe, "train", crowd_folder).source
    image, points = source.original(3)
    frame = source.frame(0, 3)
    ratio = np.array(frame.image.shape[1::-1]) / np.array(image.shape[1::-1])
    np.testing.assert_allclose(frame.points, points * ratio, rtol=1e-5)
    assert min(frame.size) == 200
    assert source.counts()[3] == len(points)


def test_procedural_scenes_are_trained_on_at_the_size_at_which_they_are_counted():
    table = {"data": {"format": "synthetic", "scale": 2.0, "min_side": 64}, "synthetic": {"size": 96, "train": 8}}
    recipe = parse_recipe(table, source="test")
    source = open_split(recipe, "train", None).source
    crowded = int(np.argmax(source.counts()))
    image, points = source.original(crowded)
    frame = source.frame(0, crowded)
    assert len(points) > 0
    assert frame.size == resized(image.shape[:2], recipe.geometry) == (192, 192)
    np.testing.assert_allclose(frame.points, 2 * points)
    assert frame.boxes.max() > 96


def test_the_context_of_few_heads_is_bounded_at_the_size_that_is_trained_on(tmp_path):
    for split in ("train", "val"):
        Image.new("RGB", (400, 300)).save(tmp_path / f"of-{split}.png")
        (tmp_path / f"of-{split}.json").write_text('{"points": [[100, 50]]}')
        (tmp_path / f"{split}.txt").write_text(f"of-{split}.png")
    for scale in (0.5, 1.0, 2.0):
        settings = ["data.format=points", f"data.scale={scale}", "data.min_side=32"]
        source = open_split(load_recipe("sha-tiny-prompt", settings), "train", tmp_path).source
        assert source.frame(0, 0).radius == pytest.approx([60])


def test_pseudo_masks_from_boxes_need_boxes(tmp_path, crowd_folder):
    for name in ("a", "b"):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text("5 5\n")
    recipe = parse_recipe(
        {"data": {"format": "points", "val_fraction": 0.5}, "targets": {"pseudo_mask": "boxes"}}, source="test"
    )
    with pytest.raises(UsageError, match=r"needs head boxes"):
        open_split(recipe, "train", tmp_path)


def test_validation_scenes_are_the_same_for_every_seed_and_train_draws_new_ones_each_epoch_unless_told_not_to():
    def scenes(split, seed, epoch=0, *, fresh=True):
        synthetic = {"size": 64, "train": 3, "val": 2, "fresh": fresh}
        table = {"data": {"format": "synthetic"}, "synthetic": synthetic, "train": {"seed": seed}}
        recipe = parse_recipe(table, source="test")
        return open_split(recipe, split, None).source.frame(epoch, 1).image

    assert np.array_equal(scenes("val", 0), scenes("val", 5))
    assert np.array_equal(scenes("train", 0), scenes("train", 0))
    assert not np.array_equal(scenes("train", 0), scenes("train", 5))
    assert not np.array_equal(scenes("train", 0), scenes("train", 0, epoch=1))
    assert not np.array_equal(scenes("train", 0), scenes("val", 0))
    assert np.array_equal(scenes("train", 0, fresh=False), scenes("train", 0, epoch=1, fresh=False))
    assert np.array_equal(scenes("train", 0, fresh=False), scenes("train", 0))


def test_annotation_noise_moves_train_and_never_val():
    def points(split, noise):
        table = {"data": {"format": "synthetic", "annotation_noise": noise}, "synthetic": {"size": 128}}
        source = open_split(parse_recipe(table, source="test"), split, None).source
        return np.concatenate([source.frame(0, index).points for index in range(6)])

    assert np.array_equal(points("val", 0.5), points("val", 0.0))
    clean, noisy = points("train", 0.0), points("train", 0.5)
    assert clean.shape == noisy.shape
    assert not np.array_equal(clean, noisy)


def test_photographs_without_a_folder_are_refused():
    with pytest.raises(UsageError, match="folder of a shanghaitech dataset"):
        open_split(parse_recipe({"data": {"format": "shanghaitech"}}, source="test"), "train", None)


def test_a_folder_is_read_as_what_it_is_whatever_the_recipe_was_made_for(crowd_folder):
    assert format_of(load_recipe("sha-tiny-prompt").data, crowd_folder) == "points"


def test_a_format_that_is_given_decides(crowd_folder):
    assert format_of(load_recipe("sha-tiny-prompt").data, crowd_folder, "nwpu") == "nwpu"


def test_a_folder_that_fits_the_recipes_format_and_another_is_read_in_the_recipes(tmp_path):
    """As ShanghaiTech's, with an image and its points beside."""
    (tmp_path / "train_data" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("5 5\n")
    assert format_of(load_recipe("sha").data, tmp_path) == "shanghaitech"
    assert format_of(parse_recipe({"data": {"format": "points"}}, source="test").data, tmp_path) == "points"


def test_a_folder_of_no_format_says_what_was_looked_for(tmp_path):
    with pytest.raises(UsageError, match=r"Cannot tell the format of .*Looked for shanghaitech \(train_data/images/\)"):
        format_of(load_recipe("shb").data, tmp_path)
    with pytest.raises(UsageError, match=r"Expected a dataset's folder at"):
        format_of(load_recipe("shb").data, tmp_path / "nowhere")


@pytest.mark.parametrize("given", [None, "points"])
def test_procedural_data_read_no_folder(crowd_folder, given):
    with pytest.raises(UsageError, match=r"procedural scenes and reads no folder.*\(format points\).*shb-tiny-prompt"):
        format_of(load_recipe("demo").data, crowd_folder, given)
    with pytest.raises(UsageError, match="reads no folder"):
        data_root(load_recipe("demo").data, crowd_folder)
    assert data_root(load_recipe("demo").data, None) is None


def test_a_recipe_that_stretches_trains_on_stretched_images_with_and_without_a_cache(tmp_path):
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    for name in "ab":
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text("5 5\n")
    seen = {}
    for stretch in (False, True):
        for cache in ("images", "none"):
            data = {"format": "points", "min_side": 64, "cache": cache, "cache_root": str(tmp_path / "c")}
            recipe = parse_recipe({"data": {**data, "stretch": stretch}}, source="test")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DimImageWarning)
                source = open_split(recipe, "train", tmp_path).source
                frame, (original, _) = source.frame(0, 0).image, source.original(0)
            np.testing.assert_array_equal(frame, original)
            seen[stretch, cache] = int(frame.max())
    assert seen == {(False, "images"): 16, (False, "none"): 16, (True, "images"): 255, (True, "none"): 255}


def test_the_recipes_label_says_whose_marks_are_heads(tmp_path):
    for name in ("a", "b"):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{name}.png")
    rows = "a.png,5,5,adult\na.png,9,9,child\nb.png,5,5,child\nb.png,20,20,child\n"
    (tmp_path / "annotations.csv").write_text("image,x,y,label\n" + rows)
    table = {"format": "points", "val_fraction": 0.5}

    def heads(**more):
        recipe = parse_recipe({"data": {**table, **more}}, source="test")
        return sum(sum(open_split(recipe, split, tmp_path).source.counts()) for split in ("train", "val"))

    assert heads(label="child") == 3
    assert heads(label="adult") == 1
    with pytest.raises(UsageError, match=r"several labels \(adult, child\)") as refused:
        heads()
    assert refused.value.about == "labels"


def test_procedural_scenes_have_no_label():
    with pytest.raises(UsageError, match=r"data\.label.*got 'adult'"):
        parse_recipe({"data": {"format": "synthetic", "label": "adult"}}, source="test")
