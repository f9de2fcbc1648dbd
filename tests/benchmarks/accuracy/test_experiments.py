import re

import pytest

from benchmarks.accuracy.experiments import experiments
from benchmarks.pages import RECORDS
from sam_mprompt.ablation.perform import fingerprints, refuse_other_training
from sam_mprompt.ablation.records import read_records


@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.name)
def test_every_row_of_every_experiment_is_a_valid_recipe(experiment):
    runs = experiment.runs()
    assert len({run.folder for run in runs}) == len(runs) > 0
    assert experiment.more_seeds.keys() <= {row.label for row in experiment.ablation.rows}


@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.name)
def test_every_committed_record_belongs_to_a_run_of_today(experiment):
    runs = {run.key: run for run in experiment.runs()}
    for record in read_records(experiment.records):
        refuse_other_training(runs[record.row, record.seed], record, experiment.records, test=experiment.test)


def test_the_committed_fingerprints_are_those_of_the_recipes_of_today():
    on_crowds = [experiment for experiment in experiments() if not experiment.data]
    kept = {
        (experiment.name, record.row, record.seed): record.fingerprint
        for experiment in on_crowds
        for record in read_records(experiment.records)
        if record.fingerprint is not None
    }
    found = {
        (experiment.name, *run.key): mark
        for experiment in on_crowds
        for run in experiment.runs()
        if (experiment.name, *run.key) in kept
        for mark in fingerprints([run], None).values()
    }
    assert found == kept != {}


def test_every_committed_record_belongs_to_an_experiment():
    kept = {experiment.records for experiment in experiments() if experiment.records.is_file()}
    assert kept == set((RECORDS / "accuracy").iterdir())


def test_the_name_of_an_experiment_ends_with_its_recipe_and_what_it_changes():
    for experiment in experiments():
        if experiment.recipe != "demo":
            assert f"-{experiment.recipe}" in experiment.name
            assert experiment.name.split(f"-{experiment.recipe}")[1] in ("", "-adamw", "-bare")


@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.name)
def test_a_note_types_no_measured_figure(experiment):
    assert re.search(r"\d\.\d", re.sub(r"`[^`]*`", "", experiment.note)) is None
