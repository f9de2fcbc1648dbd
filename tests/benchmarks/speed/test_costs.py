import pytest

from benchmarks.pages import PAGES
from benchmarks.speed.costs import page


@pytest.mark.slow
def test_the_committed_costs_are_what_counting_gives():
    committed = (PAGES / "costs.md").read_text(encoding="utf-8")
    assert all(part.strip("\n") in committed for part in page())
