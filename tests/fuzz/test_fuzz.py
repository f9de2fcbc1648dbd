"""What the fuzzers find: nothing. More inputs: `python -m tests.fuzz --inputs 1000`."""

import pytest

from fuzz.supervise import FAMILIES, fuzz, fuzz_here

_FEW = {"adapters": 8, "arguments": 8, "commands": 12, "saved": 12}
"""Inputs of the families that load a model for each."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_input_is_read_or_refused_in_a_line(family):
    report = fuzz_here(family, range(_FEW.get(family, 20)))
    assert report.inputs == _FEW.get(family, 20)
    assert not report.found, report.found


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_no_input_of_a_hundred_takes_long_or_much(family):
    report = fuzz(family, range(100), seed=1)
    assert report.inputs == 100
    assert not report.found, report.found
