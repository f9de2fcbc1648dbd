import numpy as np
import pytest

from benchmarks.accuracy.pairs import bootstrap, pair_table, pairs
from sam_mprompt.ablation.records import Record


def _record(row, seed, *sets, val, nae=None, test=None, recipe="demo"):
    return Record(
        row=row,
        seed=seed,
        recipe=recipe,
        settings=(*sets, f"train.seed={seed}"),
        machine="",
        epochs=1,
        seconds=1.0,
        best_epoch=1,
        val_mae=val,
        val_rmse=val,
        val_mean_mae=100.0,
        trainable=1,
        total=1,
        val_nae=nae,
        test_mae=test,
    )


ALONE = ("loss.segmentation=0.0", "loss.context=0.0")


def test_runs_are_a_pair_only_if_they_differ_in_nothing_but_prompts():
    prompted, alone = _record("all", 0, val=9.0), _record("regressor only", 0, *ALONE, val=10.0)
    others = [
        _record("regressor only", 1, *ALONE, val=1.0),
        _record("longer", 0, *ALONE, "train.epochs=9", val=1.0),
        _record("+ offline", 0, "loss.context=0.0", val=1.0),
        _record("another recipe", 0, *ALONE, val=1.0, recipe="shb-tiny-side"),
    ]
    assert pairs([prompted, alone, *others]) == [(prompted, alone)]


def test_the_order_of_settings_tells_no_runs_apart():
    prompted = _record("all", 0, "train.epochs=9", "train.optimizer=adamw", val=9.0)
    alone = _record("regressor only", 0, "train.optimizer=adamw", *ALONE, "train.epochs=9", val=10.0)
    assert pairs([prompted, alone]) == [(prompted, alone)]


def test_a_pair_is_compared_in_percent_of_the_regressor_alone():
    records = [
        _record("all", 0, val=9.0, nae=0.5, test=22.0),
        _record("regressor only", 0, *ALONE, val=10.0, test=20.0),
        _record("all", 1, val=16.0, nae=0.3),
        _record("regressor only", 1, *ALONE, val=20.0, nae=0.4),
    ]
    lines = pair_table([("A", "dots", records), ("B", "lines", [])]).splitlines()
    assert lines[-2:] == [
        "| A | 2 | -15.0 % ± 5.0 | 2 of 2 | -25.0 % | 1 of 1 | +10.0 % | 0 of 1 |",
        "| **dots** | 2 | -15.0 % | 2 of 2 | -25.0 % | 1 of 1 | +10.0 % | 0 of 1 |",
    ]


def test_pairs_of_one_seed_and_experiment_are_one_difference_of_all():
    records = [
        _record("all", 0, val=9.0),
        _record("all, wide", 0, "data.crop=9", val=7.0),
        _record("regressor only", 0, *ALONE, val=10.0),
        _record("regressor only, wide", 0, *ALONE, "data.crop=9", val=10.0),
        _record("all", 1, val=6.0),
        _record("regressor only", 1, *ALONE, val=10.0),
    ]
    lines = pair_table([("A", "dots", records)]).splitlines()
    assert [line.split(" | ")[:3] for line in lines[-3:]] == [
        ["| A: all", "2", "-25.0 % ± 15.0"],
        ["| A: all, wide", "1", "-30.0 %"],
        ["| **dots**", "2", "-30.0 %"],
    ]


def test_the_gate_and_the_threshold_of_prompts_belong_to_prompts():
    alone = _record("regressor only", 0, *ALONE, "model.gate=none", val=10.0)
    gated = _record("all, gated", 0, "model.gate=segmenter", val=9.0)
    narrow = _record("all, narrow", 0, "loss.threshold=0.05", val=8.0)
    assert pairs([alone, gated, narrow]) == [(gated, alone), (narrow, alone)]
    assert pairs([gated, narrow]) == []


def test_what_was_measured_on_different_images_is_not_summed_up_together():
    records = [_record("all", 0, val=9.0), _record("regressor only", 0, *ALONE, val=10.0)]
    worse = [_record("all", 0, val=11.0), _record("regressor only", 0, *ALONE, val=10.0)]
    lines = pair_table([("A", "dots", records), ("B", "lines", worse), ("C", "dots", records)]).splitlines()
    assert [line.split(" | ")[:3] for line in lines[-2:]] == [
        ["| **dots**", "2", "-10.0 %"],
        ["| **lines**", "1", "+10.0 %"],
    ]


def _with_errors(row, seed, *sets, errors):
    return _record(row, seed, *sets, val=1.0).model_copy(update={"test_errors": tuple(errors)})


def test_an_error_that_is_smaller_in_each_image_by_a_tenth_is_so_in_every_draw():
    errors = np.random.default_rng(0).normal(0, 9, 30)
    found = [(_with_errors("all", 0, errors=-0.9 * errors), _with_errors("alone", 0, *ALONE, errors=errors))]
    assert bootstrap(found) == pytest.approx((-10, -10))
    assert "| -10.0 to -10.0 % |" in pair_table([("A", "dots", found[0])]).splitlines()[-2]


def test_pairs_of_which_one_gains_what_the_other_loses_tell_nothing():
    one = np.full(8, 10.0)
    found = [
        (_with_errors("all", seed, errors=one * factor), _with_errors("alone", seed, *ALONE, errors=one))
        for seed, factor in ((0, 0.8), (1, 1.2))
    ]
    assert bootstrap(found) == pytest.approx((-20, 20))


def test_images_that_disagree_widen_the_interval():
    steady, rng = np.full(40, 10.0), np.random.default_rng(1)
    uneven = 10 * np.abs(1 + rng.choice([-0.8, 0.8], 40))
    (narrow, wide) = (
        np.diff(bootstrap([(_with_errors("all", 0, errors=errors), _with_errors("alone", 0, *ALONE, errors=steady))]))
        for errors in (steady, uneven)
    )
    assert narrow == 0
    assert wide > 20


def test_records_without_errors_of_images_have_no_interval():
    assert bootstrap([(_record("all", 0, val=9.0), _record("regressor only", 0, *ALONE, val=10.0))]) is None
