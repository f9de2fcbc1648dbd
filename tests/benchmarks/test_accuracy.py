import pytest

from benchmarks.accuracy import HERE, experiments
from benchmarks.accuracy_pairs import pair_table, pairs
from benchmarks.accuracy_table import write_table
from sam_mprompt.ablation.records import Record, read_records


@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.name)
def test_every_row_of_every_experiment_is_a_valid_recipe(experiment):
    runs = experiment.runs()
    assert len({run.folder for run in runs}) == len(runs) > 0
    assert experiment.more_seeds.keys() <= {row.label for row in experiment.ablation.rows}


@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.name)
def test_every_committed_record_belongs_to_a_run_of_today(experiment):
    commands = {run.key: run.command for run in experiment.runs()}
    for record in read_records(experiment.records):
        assert commands[record.row, record.seed] == record.command


def test_the_committed_table_is_what_the_records_give(tmp_path):
    measured = [experiment for experiment in experiments() if read_records(experiment.records)]
    without_plots = [experiment.model_copy(update={"plot": ""}) for experiment in measured]
    write_table(tmp_path, without_plots, None)
    made, committed = (folder / "accuracy.md" for folder in (tmp_path, HERE))
    texts = [
        [
            line
            for line in path.read_text().splitlines()
            if "predicting the mean of train" not in line and line[:2] != "!["
        ]
        for path in (made, committed)
    ]
    assert [line for line in texts[0] if line] == [line for line in texts[1] if line]


def _record(row, seed, *sets, val, nae=None, test=None):
    settings = "".join(f" --set {text}" for text in (*sets, f"train.seed={seed}"))
    return Record(
        row=row,
        seed=seed,
        command=f"sam-mprompt finetune --recipe demo --out runs/{row}-{seed}{settings}",
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
    ]
    assert pairs([prompted, alone, *others]) == [(prompted, alone)]


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
