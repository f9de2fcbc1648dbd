"""The threat model of the security page: every line names who sends what, and the tests that prove what it says."""

import re

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the page and the tests of a checkout")

HEADER = ("from others", "costs at most", "reaches", "what stops the rest", "shown by")
SENT = (
    *(
        "image",
        "video",
        "annotation",
        "regions",
        "recipe",
        "adapter",
        "checkpoint",
        "base",
        "exported",
        "request",
        "page",
        "Hub",
    ),
)
"""What somebody may send; each has a line."""


def threats() -> list[dict[str, str]]:
    """The lines of the table, by its headings."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    found = re.search(r"^\| from others \|.*?(?=\n\n)", page, re.DOTALL | re.MULTILINE)
    assert found is not None, "the page has a table of threats"
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[0].splitlines()]
    assert tuple(lines[0]) == HEADER
    assert all(len(line) == len(HEADER) for line in lines), [line for line in lines if len(line) != len(HEADER)]
    return [dict(zip(HEADER, line, strict=True)) for line in lines[2:]]


def functions_of_the_tests() -> set[str]:
    """The names of all test functions."""
    names = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names |= set(re.findall(r"^ *(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    return names


def test_every_threat_is_told_whole_and_names_tests_that_exist():
    known = functions_of_the_tests()
    for threat in threats():
        assert all(threat.values()), threat
        named = re.findall(r"`(test_\w+)`", threat["shown by"])
        assert named, f"no test shows: {threat['from others']}"
        assert not set(named) - known, threat["from others"]


def test_whatever_somebody_may_send_has_a_threat():
    senders = " ".join(threat["from others"] for threat in threats())
    assert [word for word in SENT if word.lower() not in senders.lower()] == []
