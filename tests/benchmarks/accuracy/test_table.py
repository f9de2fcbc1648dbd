from benchmarks.accuracy.experiments import experiments
from benchmarks.accuracy.table import write_table
from benchmarks.pages import PAGES
from sam_mprompt.ablation.records import read_records


def test_the_committed_table_is_what_the_records_give(tmp_path):
    made, committed = tmp_path / "accuracy.md", PAGES / "accuracy.md"
    measured = [experiment for experiment in experiments() if read_records(experiment.records)]
    write_table(made, [experiment.model_copy(update={"plot": ""}) for experiment in measured], None)
    texts = [
        [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if "predicting the mean of train" not in line and line[:2] != "!["
        ]
        for path in (made, committed)
    ]
    assert [line for line in texts[0] if line] == [line for line in texts[1] if line]
