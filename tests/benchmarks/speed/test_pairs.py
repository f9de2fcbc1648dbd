import operator
from functools import partial

import torch
from torch.nn import functional as F

from benchmarks.speed.pairs import Spread, alternate, in_fresh_process, multiply_adds, peak_bytes, peak_rise


def test_rounds_alternate_and_the_first_call_of_each_does_not_count():
    calls = []
    seconds = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_without_warming_up_every_call_counts():
    calls = []
    alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, warm=False)
    assert calls == ["a", "b"] * 2


def test_a_spread_is_over_the_ratios_of_the_rounds():
    spread = Spread.of([4.0, 9.0, 2.0], [2.0, 3.0, 2.0])
    assert (spread.median, spread.low, spread.high) == (2.0, 1.0, 3.0)


def test_a_ratio_that_was_measured_once_has_no_spread():
    assert str(Spread.once(1.5)) == "1.50 (1.50 to 1.50)"


def test_multiply_adds_of_products_and_attention_are_counted():
    a, b = torch.zeros(2, 3), torch.zeros(3, 4)
    assert multiply_adds(lambda: a @ b) == 2 * 3 * 4
    q = torch.zeros(1, 2, 8, 16)
    assert multiply_adds(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * 2 * 8 * 8 * 16


def test_memory_is_that_of_a_new_process_and_not_of_this_one():
    assert in_fresh_process(peak_bytes) < peak_bytes() / 2


def test_the_rise_is_what_a_call_needs_at_its_peak():
    risen = in_fresh_process(peak_rise, partial(operator.mul, b"1", 100_000_000))
    assert 0.9e8 < risen < 1.5e8
