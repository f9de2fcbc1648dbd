import pytest

from benchmarks.speed import scaling


def test_a_row_is_relative_to_its_first_value():
    assert scaling.relative(["1", "2"], {"time": [2.0, 5.0]}).splitlines()[-1] == "| time | 1.00 | 2.50 |"


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
