import pytest

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import experiments
from sam_mprompt.ablation.records import read_records


@pytest.fixture
def said(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["accuracy", *arguments])
        with pytest.raises(SystemExit, match="2"):
            accuracy.main()
        return capsys.readouterr().err

    return call


def test_an_unknown_experiment_is_refused_with_the_known_ones(said):
    assert "no experiment table9; known: bases-crowd, " in said("run", "table9")


def test_photographs_that_an_experiment_needs_are_asked_for_before_anything_is_trained(said):
    message = said("run", "table2-shb-scratch")
    assert "table2-shb-scratch needs --data DIR with shanghaitech/part_B in it" in message


def test_an_experiment_is_trained_once_with_a_line_and_a_record_a_run(
    tmp_path, monkeypatch, capsys, tiny_recipe, crowd_folder
):
    monkeypatch.setattr(experiments, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(experiments, "RUNS", tmp_path / "runs")
    rows = tmp_path / "rows.toml"
    rows.write_text('title = "One"\n[[rows]]\nlabel = "all"\n')
    experiment = experiments.Experiment(
        name="one",
        title="One",
        recipe=str(tiny_recipe),
        rows=str(rows),
        data=crowd_folder.name,
        settings=("train.epochs=1",),
        test=True,
    )
    for _ in range(2):
        accuracy.run(experiment, crowd_folder.parent, float("inf"))
    (record,) = read_records(experiment.records)
    assert record.test_mae is not None
    for errors, mae, images in ((record.val_errors, record.val_mae, 3), (record.test_errors, record.test_mae, 2)):
        assert len(errors) == images
        assert sum(map(abs, errors)) / images == pytest.approx(mae, abs=0.01)
    assert capsys.readouterr().out == f"one all 0 val_mae {record.val_mae:.2f} test_mae {record.test_mae:.2f}\n"
