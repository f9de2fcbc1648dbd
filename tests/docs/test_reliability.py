"""What the reliability page says of fuzzing is what the committed record of `python -m tests.fuzz --record` gives."""

import json
from collections import defaultdict

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT
from fuzz.supervise import FAMILIES, MOST_BYTES, MOST_SECONDS

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the page and the record of a checkout")

LEAST_INPUTS = 10_000


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs() -> dict[str, list[dict]]:
    """The runs of each family in the order in which they were made: all but the last found something to mend."""
    found = defaultdict(list)
    for line in (ROOT / "benchmarks" / "records" / "fuzz.jsonl").read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        found[run["family"]].append(run)
    return found


def test_the_last_run_of_each_family_met_ten_thousand_inputs_and_found_nothing(runs):
    for last in (of_family[-1] for of_family in runs.values()):
        assert last["inputs"] == last["read"] + last["refused"] >= LEAST_INPUTS, last
        assert last["found"] == 0, last
        assert last["slowest_seconds"] <= MOST_SECONDS, last
        assert last["largest_bytes"] <= MOST_BYTES, last


def test_the_table_of_fuzzed_inputs_is_that_of_the_record(runs, page):
    lines = []
    for family in filter(runs.get, FAMILIES):
        *before, last = runs[family]
        counts = [f"{last[key]:,}" for key in ("inputs", "read", "refused")]
        most = [f"{last['slowest_seconds']:.1f}", f"{last['largest_bytes'] / 1e6:,.0f}"]
        cells = [f"`{family}`", *counts, str(sum(run["found"] for run in before)), *most]
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines)
    assert f"\n{table}\n\n" in page, f"expected these lines:\n{table}"


def test_families_that_had_fewer_inputs_are_named(runs, page):
    missing = [f"`{family}`" for family in FAMILIES if family not in runs]
    assert not missing or f"Not run so far: {', '.join(missing)}." in page, missing
