"""The measurements that are one comparison each, once through in small."""

import pytest

from benchmarks.speed import (
    adapters,
    busy_core,
    cached_epoch,
    counting,
    depthwise,
    large_image,
    layout,
    mixed_precision,
    products,
    start,
)
from sam_mprompt.recipe.schema import load_recipe


@pytest.mark.slow
def test_adapters_are_loaded_and_switched_faster_than_everything_is_loaded_again():
    load, switch = adapters.measure("tiny", rounds=1)
    assert min(load.ratio.median, switch.ratio.median) > 1
    assert "0.5 s was aimed at" in load.note
    assert "20 ms was aimed at" in switch.note


def test_cached_features_are_trained_on(tiny_base):
    (row,) = cached_epoch.measure(str(tiny_base), crop=64, images=2, rounds=1)
    assert row.ratio.median > 0


def test_both_precisions_train():
    (row,) = mixed_precision.measure(crop=64, images=2, rounds=1)
    assert row.ratio.median > 0


def test_products_are_compared_forward_backward_and_in_an_mlp():
    rows = products.measure(8, 3, rounds=1)
    assert [row.what.split(",")[0] for row in rows] == ["product of a layer", "its gradient for the tokens", "MLP"]
    assert all(row.ratio.median > 0 for row in rows)


def test_both_layouts_take_a_step():
    small = load_recipe("shb-scratch", ["data.crop=64", "train.batch_size=2"])
    (row,) = layout.measure(small, rounds=1)
    assert row.what == "training step of `shb-scratch`, 64 px, batch 2, channels last"


def test_gradients_of_depthwise_layers_are_compared_with_both_others():
    rows = depthwise.measure(1, 1, ((4, 8, 5, 2),))
    assert {row.what for row in rows} == {"gradients in bfloat16: 4 channels, 8 px, 5 x 5 taps, stride 2"}
    assert [row.against for row in rows] == ["PyTorch's own", "float32"]


def test_both_layouts_count():
    (row,) = layout.measure_counting("shb-scratch", height=64, width=96, rounds=1)
    assert row.what == "counting 96x64 pixels, `shb-scratch`, channels last"
    assert row.ratio.median > 0


@pytest.mark.slow
def test_every_counter_of_ours_is_compared_with_csrnet():
    rows = counting.measure(64, 96, rounds=1)
    assert [row.what for row in rows] == [
        f"counting a 96x64 image, {name}" for name in ("sam-tiny", "native small", "SAM-base")
    ]


@pytest.mark.slow
def test_an_image_is_compared_with_a_quarter_of_it():
    (row,) = large_image.measure(1000, 1000)
    assert "GB above model and image" in row.note


@pytest.mark.slow
def test_commands_start_and_stand_against_what_they_cannot_do_without():
    rows = start.measure(rounds=1)
    assert [row.what for row in rows].count("`--help`") == 2
    assert len(rows) == 6


@pytest.mark.slow
def test_both_ways_of_waiting_train_alone_and_beside_a_busy_process():
    alone, beside = busy_core.measure(scenes=8, rounds=1)
    assert (alone.what[-5:], beside.what[-12:]) == ("alone", "busy process")
