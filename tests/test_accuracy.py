import pytest

from benchmarks.accuracy import HERE, experiments
from benchmarks.accuracy_table import write_table
from sam_mprompt.ablation import read_records


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
    rows = [line for line in made.read_text().splitlines() if line.startswith("| ") and "predicting" not in line]
    assert rows
    assert set(rows) <= set(committed.read_text().splitlines())
