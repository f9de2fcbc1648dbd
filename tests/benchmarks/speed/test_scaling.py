import json

import pytest

from benchmarks.pages import PAGES
from benchmarks.speed import scaling


def test_a_row_is_relative_to_its_first_value_and_ends_with_its_exponent():
    rows = scaling.relative({"1": 1, "2": 2, "4": 4}, {"square": [2.0, 8.0, 32.0], "still": [3.0, 3.0, 3.0]})
    assert rows.splitlines()[-2:] == [
        "| square | 1.00 | 4.00 | 16.00 | 2.00 |",
        "| still | 1.00 | 1.00 | 1.00 | 0.00 |",
    ]


def test_what_begins_at_none_has_no_exponent():
    assert scaling.relative({"0": 0, "1": 1}, {"time": [2.0, 1.0]}).splitlines()[-1] == "| time | 1.00 | 0.50 |  |"


def test_every_part_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    parts = {"a": ({"1": 1, "2": 2}, {"x": [1.0, 2.0]}), "b": ({"0": 0, "1": 1}, {"y": [1.0, 2.0]})}
    scaling.draw(parts, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_the_committed_page_is_what_the_record_gives(monkeypatch):
    written = []
    monkeypatch.setattr(scaling, "write_page", lambda name, *parts: written.append((name, parts)))
    record = json.loads(scaling.FILE.read_text(encoding="utf-8"))
    scaling.write(record, record["parts"])
    [(name, parts)] = written
    page = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    assert page == (PAGES / f"{name}.md").read_text(encoding="utf-8")


def test_adapters_share_the_weights_of_their_base():
    one, two = scaling.adapters_size(1), scaling.adapters_size(2)
    assert one < two < 1.5 * one


def test_targets_are_measured_in_every_column():
    found = scaling.heads({"5": 5, "10": 10})
    assert [len(values) for values in found.values()] == [2, 2]


@pytest.mark.slow
def test_the_other_rows_are_measured_in_every_column():
    found = {
        **scaling.areas({"small": (448, 448), "large": (448, 896)}),
        **scaling.batches({"batch 1": 1, "2": 2}),
        **scaling.adapters({"1 loaded": 1, "2": 2}),
        **scaling.workers({"0 workers": 0, "1": 1}, images=2),
    }
    # Adapters and areas are both measured by the time of counting.
    assert len(found) == 6
    assert all(len(values) == 2 and min(values) > 0 for values in found.values())
