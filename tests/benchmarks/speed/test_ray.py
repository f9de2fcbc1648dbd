"""The measurement of Ray's overhead."""

import pytest

from benchmarks.speed.ray import Rate, measure


def test_a_rate_is_that_between_the_first_and_the_last_part():
    assert Rate.of(10.0, [(14.0, 4), (16.0, 8), (20.0, 12)]) == Rate(4.0, 0.75)


@pytest.mark.slow
def test_actors_are_compared_with_a_process_and_with_each_other():
    pytest.importorskip("ray", reason="the extra [ray] brings Ray")
    one, two = measure(images=12, rounds=1)
    assert one.ratio.median > 0
    assert two.ratio.median > 0
    assert "The first images are done after" in one.note
