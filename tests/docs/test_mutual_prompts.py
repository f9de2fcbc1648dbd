"""What the page on mutual prompts says was measured is what the committed records give."""

from statistics import mean

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT

from benchmarks.accuracy.experiments import experiments
from benchmarks.accuracy.pairs import bootstrap, by_seed, differences, pairs
from sam_mprompt.ablation.records import Record, read_records
from sam_mprompt.ablation.variants import load_ablation

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the figures are compared with the checkout's records")

NAMES = ("val_mae", "test_mae", "test_nae")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return next(read_records(each.records) for each in experiments() if each.name == "prompts-shb-lite0-side")


def lines_of(records: list[Record]) -> list[str]:
    """The rows of the page's table: a line for each row of prompts."""
    found = pairs(records)
    lines = []
    for label in sorted({prompted.row for prompted, _ in found}):
        of_row = [pair for pair in found if pair[0].row == label]
        cells = [f"{mean(differences(by_seed(of_row), metric)):+.1f} %" for metric in NAMES]
        low, high = bootstrap(of_row) or (0.0, 0.0)
        lines.append(f"| {label} | {len(of_row)} | {' | '.join(cells)} | {low:+.1f} to {high:+.1f} % |")
    return lines


def test_the_table_is_what_the_records_give(records):
    page = (ROOT / "docs" / "mutual-prompts.md").read_text(encoding="utf-8")
    expected = lines_of(records)
    assert len(expected) == 5
    assert [line for line in page.splitlines() if line in expected] == expected


def test_no_interval_leaves_out_zero_and_each_but_one_leaves_out_the_papers_smallest_gain(records):
    found = pairs(records)
    paper = load_ablation("table2").rows
    gains = [1 - paper[-1].paper[name] / paper[0].paper[name] for name in paper[0].paper]
    assert round(100 * min(gains)) == 12
    rows = {prompted.row: [pair for pair in found if pair[0].row == prompted.row] for prompted, _ in found}
    intervals = {label: bootstrap(of_row) or (0.0, 0.0) for label, of_row in rows.items()}
    assert all(low < 0 < high for low, high in intervals.values())
    wide = [label for label, (low, _) in intervals.items() if low <= -100 * min(gains)]
    assert wide == ["all, gated, context by the target"]
    better = [
        label for label, of_row in rows.items() if all(mean(differences(by_seed(of_row), name)) < 0 for name in NAMES)
    ]
    assert better == wide
