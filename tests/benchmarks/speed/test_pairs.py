import json

from benchmarks.pairs import HERE, Result, Spread, alternate, read_row, write_row, write_table


def test_rounds_alternate_and_the_first_call_of_each_does_not_count():
    calls = []
    seconds = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_without_warming_up_every_call_counts():
    calls = []
    alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, warm=False)
    assert calls == ["a", "b"] * 2


def test_a_row_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.pairs.HERE", tmp_path)
    written = [Result("x", "y", Spread(2.0, 1.0, 3.0), aim=1.5, limit=0.5, note="n")]
    assert read_row(tmp_path / "speed" / "r.json") == []
    write_row("r", written)
    assert read_row(tmp_path / "speed" / "r.json") == written


def test_a_spread_is_over_the_ratios_of_the_rounds():
    spread = Spread.of([4.0, 9.0, 2.0], [2.0, 3.0, 2.0])
    assert (spread.median, spread.low, spread.high) == (2.0, 1.0, 3.0)


def test_an_aim_that_was_missed_says_so(tmp_path):
    (tmp_path / "speed").mkdir()
    results = [Result("x", "y", Spread(ratio, ratio, ratio), aim=2.0) for ratio in (1.5, 2.5)]
    record = {"machine": "m", "results": [vars(result) | {"ratio": vars(result.ratio)} for result in results]}
    (tmp_path / "speed" / "targets.json").write_text(json.dumps(record))
    write_table(tmp_path)
    text = (tmp_path / "speed.md").read_text()
    assert text.count("(missed)") == 1
    assert "| 1.50 (1.50 to 1.50) | 2 (missed) |" in text


def test_the_committed_table_is_what_the_records_give(tmp_path):
    (tmp_path / "speed").symlink_to(HERE / "speed")
    write_table(tmp_path)
    assert (tmp_path / "speed.md").read_text() == (HERE / "speed.md").read_text()
