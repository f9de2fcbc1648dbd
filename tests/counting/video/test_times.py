import pytest

from sam_mprompt.counting.video.times import clock, span
from sam_mprompt.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1s", 1), ("2.5 s", 2.5), (".5s", 0.5), ("10min", 600), ("1h", 3600), (3, 3), (0.25, 0.25)],
)
def test_a_span_is_a_number_with_a_unit_or_a_number_of_seconds(text, seconds):
    assert span(text, "every") == seconds


@pytest.mark.parametrize(
    "wrong", ["", "1", "s", "-1s", "0s", "1 week", "1s 2s", "1e9h", 0, -1, True, None, float("nan")]
)
def test_what_is_no_span_is_refused_with_an_example(wrong):
    with pytest.raises(UsageError, match="smooth: expected a time such as 500ms"):
        span(wrong, "smooth")


def test_nothing_is_a_span_only_where_it_may_be():
    assert span("0s", "reconnect", zero=True) == span(0, "reconnect", zero=True) == 0


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [
        (0, 0, "0:00:00"),
        (59.9996, 3, "0:01:00.000"),
        (3661.5, 1, "1:01:01.5"),
        (36000, 0, "10:00:00"),
        (-1, 0, "-0:00:01"),
    ],
)
def test_a_clock_carries_what_it_rounds(seconds, digits, text):
    assert clock(seconds, digits) == text
