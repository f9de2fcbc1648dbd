"""A disk that turns a bit: no damaged byte is ever trained on, and what can be made again is."""

import logging
import random
import shutil

import numpy as np
import pytest
from faults.caches import features
from faults.disks import contents
from faults.killing import SEED, tell
from small_training import small_session

from sam_mprompt.data.cache.images import ImageCache
from sam_mprompt.data.masks import read_mask, write_mask
from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry
from sam_mprompt.training.state import load_state

FLIPS = 60


def flip(path, draws):
    """Turn one bit of a file, at random."""
    content = bytearray(path.read_bytes())
    content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
    path.write_bytes(content)


class Stopped(BaseException):
    """Ends a training at once."""


def begun(folder):
    """A run that was ended behind its fourth batch of six, with a state behind every step."""
    session = small_session(folder, {"ema": 0.9, "save_minutes": 1e-9})

    def stop():
        raise Stopped

    session.observer.at = {5: stop}
    with pytest.raises(Stopped):
        session.fit()
    return session.run


def resumed(run):
    """A session that goes on with a run, and what was told of it."""
    session, said = small_session(run.path, {"ema": 0.9, "save_minutes": 1e-9}), []
    parts = session.parts
    session.progress = load_state(
        run, parts.counter, parts.optimizer, average=parts.average, scaler=None, say=said.append
    )
    return session, said


@pytest.mark.slow
def test_every_bit_that_turns_in_a_state_is_seen_and_the_state_before_it_is_gone_on_from(tmp_path):
    run, draws = begun(tmp_path / "run"), random.Random(f"state {SEED}")
    last, _ = resumed(run)
    for number in range(FLIPS):
        shutil.copytree(run.path, tmp_path / str(number))
        damaged = type(run)(tmp_path / str(number))
        flip(damaged.state / draws.choice(["state.safetensors", "progress.json"]), draws)
        session, said = resumed(damaged)
        step = last.progress.step - 1
        assert session.progress.step == step
        assert said == [
            f"The disk has damaged '{damaged.state}'; the state before it is whole: going on from step {step}."
        ]
    tell(f"state: {FLIPS} bits turned, {FLIPS} seen")


def test_a_training_whose_last_state_was_damaged_ends_in_the_same_weights(tmp_path):
    small_session(tmp_path / "whole", {"ema": 0.9, "save_minutes": 1e-9}).fit()
    run = begun(tmp_path / "run")
    flip(run.state / "state.safetensors", random.Random(SEED))
    session, _ = resumed(run)
    session.fit()
    whole = tmp_path / "whole"
    for file in ("state/state.safetensors", "adapter/adapter_model.safetensors", "held_out.jsonl"):
        assert (run.path / file).read_bytes() == (whole / file).read_bytes()
    assert {path.name for path in run.path.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.parametrize("gone", ["both", "the one before", "the tensors"])
def test_where_no_state_is_whole_one_line_says_what_to_do(tmp_path, gone):
    run, draws = begun(tmp_path / "run"), random.Random(SEED)
    flip(run.state / "state.safetensors", draws)
    if gone == "the one before":
        shutil.rmtree(run.state_before)
    else:
        flip(run.state_before / "state.safetensors", draws)
    if gone == "the tensors":
        (run.state / "state.safetensors").unlink()
    with pytest.raises(UsageError, match="holds no readable training state") as told:
        resumed(run)
    assert told.value.about == "damaged state"
    assert "\n" not in str(told.value)
    assert "state-before" not in str(told.value)


def test_a_state_of_another_recipe_is_not_taken_for_a_damaged_one(tmp_path):
    run = begun(tmp_path / "run")
    other = small_session(tmp_path / "other", model={"density_stride": 8}, loss={"segmentation": 0.0, "context": 0.0})
    parts = other.parts
    with pytest.raises(UsageError, match="does not fit the recipe"):
        load_state(run, parts.counter, parts.optimizer, average=None, scaler=None)


def test_a_header_that_seems_to_be_of_another_recipe_is_known_for_damaged(tmp_path):
    run = begun(tmp_path / "run")
    path = run.state / "state.safetensors"
    content = path.read_bytes()
    assert b'"model.regressor' in content
    path.write_bytes(content.replace(b'"model.regressor', b'"model.segressor', 1))
    assert resumed(run)[1]


@pytest.mark.slow
def test_damaged_features_are_counted_and_made_anew_before_a_training(tmp_path, tiny_recipe, crowd_folder):
    fill, draws, said = features(tiny_recipe, crowd_folder), random.Random(f"features {SEED}"), []
    fill(tmp_path)
    whole = contents(tmp_path)
    files = sorted(tmp_path.rglob("*.npy"))
    for _ in range(FLIPS // 3):
        damaged = draws.sample(files, 2)
        for file in damaged:
            flip(file, draws)
        made = []
        said.clear()
        fill(tmp_path, say=said.append, progress=lambda done, total, made=made: made.append(done))
        assert made == [1, 2]
        names = ", ".join(sorted(file.name for file in damaged))
        assert said[0] == f"2 of 6 files of cached features were damaged and are made anew: {names}"
        assert contents(tmp_path) == whole
    said.clear()
    fill(tmp_path, say=said.append)
    assert not any("were damaged" in line for line in said)


def test_a_damaged_image_of_the_cache_is_decoded_anew_with_a_warning(tmp_path, crowd_folder, caplog):
    cache, draws = ImageCache(tmp_path, Geometry(min_side=64)), random.Random(f"images {SEED}")
    image = crowd_folder / "9.png"
    whole = np.array(cache.read(image))
    with caplog.at_level(logging.WARNING):
        for number in range(1, FLIPS // 3):
            flip(cache.file_of(image), draws)
            assert np.array_equal(cache.read(image), whole)
            assert len([record for record in caplog.records if "Decoded anew" in record.message]) == number


def test_a_damaged_mask_is_refused_or_is_the_same_mask(tmp_path):
    mask = np.random.default_rng(0).random((60, 80)) > 0.5
    draws, refused = random.Random(f"mask {SEED}"), 0
    for _ in range(FLIPS):
        write_mask(tmp_path / "a.png", mask)
        flip(tmp_path / "a.png", draws)
        try:
            found = read_mask(tmp_path / "a.png", mask.shape)
        except UsageError:
            refused += 1
        else:
            assert np.array_equal(found, mask)
    assert refused > FLIPS // 2
