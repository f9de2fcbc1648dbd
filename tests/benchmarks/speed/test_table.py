import pytest

from benchmarks.pages import PAGES
from benchmarks.speed.pairs import Result, Spread
from benchmarks.speed.table import read_row, record_of, write_row, write_table


def test_a_row_is_read_as_it_was_written_and_stands_on_the_page(tmp_path):
    written = [Result("x", "y", Spread(2.0, 1.0, 3.0), aim=1.5, limit=0.5, note="n")]
    assert read_row(record_of("r", tmp_path)) == []
    write_row("r", written, machine="m", pages=tmp_path)
    assert read_row(record_of("r", tmp_path)) == written
    text = (tmp_path / "speed.md").read_text()
    assert "| x | y | 2.00 (1.00 to 3.00) | 1.5 | 50 % | `python -m benchmarks.speed.r` |" in text
    assert text.endswith("- x: n\n- `r` was measured on m.\n")


def test_the_page_begins_with_the_best_row_of_each_measurement_and_then_the_aims_that_were_missed(tmp_path):
    write_row("a", [Result("slow", "y", Spread.once(2.0)), Result("fast", "y", Spread.once(3.0))], pages=tmp_path)
    write_row("b", [Result("faster", "y", Spread.once(9.0)), Result("off", "y", Spread.once(1), 4.0)], pages=tmp_path)
    text = (tmp_path / "speed.md").read_text()
    best, missed = text.partition("## Every row")[0].split("## Aims that were missed")
    assert [line.split(" | ")[0] for line in best.splitlines()[-4:] if line.startswith("| f")] == ["| faster", "| fast"]
    assert "| slow" not in best + missed
    assert "| off | y | 1.00 (1.00 to 1.00) | 4 (missed) |" in missed


@pytest.mark.parametrize(("ratio", "shown"), [(1.5, "2 (missed)"), (2.5, "2")])
def test_an_aim_that_was_missed_says_so(tmp_path, ratio, shown):
    write_row("targets", [Result("x", "y", Spread.once(ratio), aim=2.0)], pages=tmp_path)
    assert f"| {shown} |" in (tmp_path / "speed.md").read_text()


def test_the_committed_table_is_what_the_records_give(tmp_path):
    (tmp_path / "records").symlink_to(PAGES / "records")
    write_table(tmp_path)
    assert (tmp_path / "speed.md").read_text(encoding="utf-8") == (PAGES / "speed.md").read_text(encoding="utf-8")
