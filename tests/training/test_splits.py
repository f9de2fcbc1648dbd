"""What a training tells of its data before it begins."""

import os
import shutil

import pytest
from crowd_files import folder_of

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.splits import TrainingData


@pytest.fixture
def crowd(crowd_folder, tmp_path):
    """A copy of the dataset whose files are old, so that what they hash to is remembered."""
    shutil.copytree(crowd_folder, tmp_path / "crowd")
    return tmp_path / "crowd"


def copied(crowd, old, new):
    shutil.copyfile(crowd / f"{old}.png", crowd / f"{new}.png")
    for name in (old, new):
        os.utime(crowd / f"{name}.png", (1_600_000_000, 1_600_000_000))


def told(tiny_recipe, crowd):
    return TrainingData.open(load_recipe(tiny_recipe), crowd).lines()


def test_a_dataset_without_copies_is_told_by_its_numbers_alone(tiny_recipe, crowd):
    assert told(tiny_recipe, crowd) == ["train: 6 images", "val: 3 images"]


def test_a_picture_twice_in_train_is_told_with_its_number(tiny_recipe, crowd):
    copied(crowd, 1, 3)  # 0 to 5 are train, 6 to 8 val, 9 and 10 test
    lines = told(tiny_recipe, crowd)
    assert "  copies of another picture of the split, byte for byte: 1 (3.png): '3.png' is '1.png'" in lines
    assert not any("Serious" in line for line in lines)


@pytest.mark.parametrize(("new", "split"), [(7, "val: 3 images"), (9, "test: not trained on")])
def test_a_picture_that_is_trained_on_and_counted_for_figures_is_named_as_serious(tiny_recipe, crowd, new, split):
    copied(crowd, 1, new)
    lines = told(tiny_recipe, crowd)
    place = lines.index(split)
    assert lines[place + 1].startswith("  pictures that another split holds too, byte for byte: 1 ")
    assert f"'{new}.png' is '1.png' of train" in lines[place + 1]
    assert lines[-1].startswith("Serious: figures on pictures that are in two splits mean little")


def test_a_second_start_hashes_nothing(tiny_recipe, crowd, monkeypatch):
    copied(crowd, 1, 7)
    first = told(tiny_recipe, crowd)

    def read(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("sam_mprompt.data.cache.hashes.sha256_of", read)
    assert told(tiny_recipe, crowd) == first


def test_data_check_fills_the_same_memory(tiny_recipe, crowd, monkeypatch, run_cli):
    copied(crowd, 1, 7)
    assert run_cli("data", "check", crowd).code == 1

    def read(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("sam_mprompt.data.cache.hashes.sha256_of", read)
    assert any("'7.png' is '1.png' of train" in line for line in told(tiny_recipe, crowd))


def test_procedural_scenes_are_not_compared():
    assert TrainingData.open(load_recipe("demo"), None).test is None


def test_a_training_on_images_in_which_nobody_is_annotated_is_refused(tiny_recipe, tmp_path):
    folder_of(tmp_path, {f"{name}.txt": "" for name in "abcd"}, [f"{name}.jpg" for name in "abcd"])
    with pytest.raises(UsageError, match="expected at least one head in the images that train, got none"):
        TrainingData.open(load_recipe(tiny_recipe, ["targets.pseudo_mask=points"]), tmp_path)
