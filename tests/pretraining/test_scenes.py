import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sam_mprompt.data.scenes.objects import object_scene
from sam_mprompt.pretraining.recipe import SceneRecipe
from sam_mprompt.pretraining.scenes import PromptedScenes, dense_maps, point_prompts, thing_offsets
from sam_mprompt.pretraining.thing_decoder import CELL, MAPS

SMALL = SceneRecipe(size=64, parts=2, whole_every=3)


def scenes(**changes):
    return PromptedScenes(SMALL, **{"scenes": 2, "prompts": 5, "seed": 0, **changes})


def test_a_step_sees_crops_and_every_nth_step_whole_scenes_with_as_many_pixels():
    shapes = [tuple(scenes()[step].images.shape) for step in range(3)]
    assert shapes == [(8, 3, 32, 32), (8, 3, 32, 32), (2, 3, 64, 64)]


def test_crops_are_the_quarters_of_their_scene_in_reading_order():
    batch, scene = scenes(scenes=1)[0], object_scene(0, 0, (64, 64))
    for part, (top, left) in enumerate([(0, 0), (0, 32), (32, 0), (32, 32)]):
        window = (slice(top, top + 32), slice(left, left + 32))
        assert np.array_equal(batch.images[part].permute(1, 2, 0), scene.image[window])
        assert np.array_equal(batch.labels[part], scene.instances[window][CELL // 2 :: CELL, CELL // 2 :: CELL])


def test_a_step_is_the_same_in_any_process_and_no_scene_comes_twice():
    first, again, next_step, other_seed = scenes()[4], scenes()[4], scenes()[6], scenes(seed=1)[4]
    for name in ("images", "labels", "maps", "offsets", "prompts", "valid"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert not torch.equal(first.images, next_step.images)
    assert not torch.equal(first.images, other_seed.images)


def test_every_prompted_mask_holds_its_prompt_and_nothing_of_another_thing():
    batch = scenes(prompts=8)[2]
    masks = batch.masks()
    inside = masks.flatten(2).gather(2, batch.prompts[:, :, None])[..., 0]
    assert inside.all()
    for image, labels in zip(masks[batch.valid], batch.labels[batch.valid], strict=True):
        for mask in image:
            assert len(labels[mask].unique()) == 1
            assert labels[mask][0] > 0
            assert int(mask.sum()) == int((labels == labels[mask][0]).sum())


labelled = arrays.arrays(np.int32, (6, 9), elements=st.integers(0, 4))


@given(labels=labelled, count=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_prompts_lie_on_things(labels, count, seed):
    prompts = point_prompts(np.random.default_rng(seed), labels, count)
    assert prompts.shape == (count,)
    assert (labels.ravel()[prompts] > 0).all() == labels.any()


def test_half_of_the_prompts_treat_small_things_as_large_ones():
    labels = np.ones((40, 40), np.int32)
    labels[0, 0] = 2
    prompts = point_prompts(np.random.default_rng(0), labels, 2000)
    assert np.mean(prompts == 0) == pytest.approx(0.25, abs=0.05)


def test_a_crop_without_things_is_marked():
    assert not point_prompts(np.random.default_rng(0), np.zeros((4, 4), np.int32), 3).any()
    found = [scenes()[step] for step in range(40)]
    empty = [~batch.labels.flatten(1).any(1) for batch in found]
    assert any(flags.any() for flags in empty)
    assert all(torch.equal(flags, ~batch.valid) for flags, batch in zip(empty, found, strict=True))


def test_maps_tell_where_things_are_where_they_end_and_where_their_middle_is():
    instances = np.zeros((32, 48), np.int32)
    instances[8:20, 16:28] = 7  # cells 2..4 x 4..6, so the middle is cell (3, 5)
    things, outlines, centres = dense_maps(instances)
    assert len(MAPS) == 3
    assert things.sum() * CELL**2 == 12 * 12
    assert things[2:5, 4:7].min() == 1
    assert outlines[3, 5] == 0  # neither inside a thing
    assert outlines[6, 10] == 0  # nor away from it
    assert outlines.sum() * CELL**2 == pytest.approx(4 * 11 + 4 * 12)  # a pixel on each side of the edge
    assert np.unravel_index(centres.argmax(), centres.shape) == (3, 5)
    assert centres.max() == pytest.approx(1)


def test_things_that_touch_are_told_apart_by_their_outlines_and_have_a_centre_each():
    instances = np.zeros((32, 32), np.int32)
    instances[8:24, 0:16], instances[8:24, 16:32] = 1, 2
    _, outlines, centres = dense_maps(instances)
    assert outlines[4, 3] > 0
    assert outlines[4, 4] > 0
    assert centres[4, 2] > 0.4 < centres[4, 6]
    assert centres[4, 4] < 0.3


def test_a_thing_at_the_border_keeps_its_centre_inside_and_an_empty_crop_has_none():
    instances = np.zeros((16, 16), np.int32)
    assert not dense_maps(instances).any()
    instances[:2, :2] = 1
    assert dense_maps(instances)[2, 0, 0] > 0.5


def test_offsets_run_from_minus_one_to_one_across_each_thing_whatever_its_size():
    labels = np.zeros((6, 12), np.int32)
    labels[1:4, 2:7], labels[4:6, 8:10] = 1, 2
    x, y = thing_offsets(labels)
    assert x[2, 2:7].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert y[1:4, 4].tolist() == [-1, 0, 1]
    assert x[4, 8:10].tolist() == [-1, 1]
    assert not x[labels == 0].any()
    assert not y[labels == 0].any()


@given(labels=labelled)
@settings(max_examples=60, deadline=None)
def test_offsets_stay_within_their_thing(labels):
    offsets = thing_offsets(labels)
    assert np.abs(offsets).max() <= 1
    for thing in np.unique(labels[labels > 0]):
        inside = offsets[:, labels == thing]
        assert (inside.min(1) == -inside.max(1)).all()
