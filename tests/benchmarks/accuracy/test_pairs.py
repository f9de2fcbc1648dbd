from benchmarks.accuracy.pairs import pair_table, pairs
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
    twice_seed_0 = [record.model_copy(update={"seed": 0}) for record in records]
    assert "| 2 | -15.0 % | 2 of 2 | -25.0 % | 1 of 1 |" in pair_table([("A", twice_seed_0)])
    row = "| 2 | -15.0 % ± 5.0 | 2 of 2 | -25.0 % | 1 of 1 | +10.0 % | 0 of 1 |"
    assert pair_table([("A", records), ("B", [])]).splitlines()[-2:] == [f"| A {row}", f"| **all** {row}"]
