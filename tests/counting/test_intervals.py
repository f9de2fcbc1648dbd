import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.counting import intervals
from sam_mprompt.counting.intervals import Calibration, Interval
from sam_mprompt.errors import UsageError

DRAWS = 700


def counts(rng, size, *, power, bias=0.0):
    """Truths, and what a counter makes of them whose errors grow with a power of the count."""
    heads = rng.lognormal(4, 1, size).round()
    spread = rng.standard_t(3, size) * 0.2 * np.maximum(heads, 1) ** power
    return heads, np.maximum(0, heads * (1 - bias) + spread)


def coverage(level, images, *, power, bias=0.0, seed=0):
    rng = np.random.default_rng(seed)
    heads, counted = counts(rng, (DRAWS, images + 1), power=power, bias=bias)
    inside = [
        truth[-1] in Calibration.fit(truth[:-1], found[:-1]).interval(found[-1], level)
        for truth, found in zip(heads, counted, strict=True)
    ]
    return float(np.mean(inside))


@pytest.mark.parametrize(("level", "images", "power"), [(0.9, 9, 1.0), (0.9, 19, 0.5), (0.9, 19, 1.0), (0.8, 29, 0.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(level, images, power):
    slack = 3 * np.sqrt(level * (1 - level) / DRAWS)
    assert coverage(level, images, power=power, bias=0.15) >= level - slack


@pytest.mark.parametrize(("level", "images", "ranks"), [(0.9, 39, (2, 38)), (0.9, 19, (1, 19)), (0.8, 9, (1, 9))])
def test_the_ends_are_the_quantiles_for_finite_samples(level, images, ranks):
    errors = np.random.default_rng(0).permutation(np.arange(1, images + 1)) + 100.0
    found = Calibration.fit(1000 + errors, np.full(images, 1000.0)).interval(1000, level)
    assert (found.low, found.high) == pytest.approx([1100 + rank for rank in ranks])


@pytest.mark.parametrize(("images", "rank"), [(9, 9), (10, 10), (18, 18)])
def test_few_images_give_a_symmetrical_interval_of_their_absolute_errors(images, rank):
    errors = np.arange(1, images + 1) * np.where(np.arange(images) % 2, 1, -1)
    found = Calibration.fit(1000 + errors, np.full(images, 1000.0)).interval(1000)
    assert (found.low, found.high) == pytest.approx((1000 - rank, 1000 + rank))


def test_a_counter_that_always_misses_a_tenth_has_its_interval_above_the_count():
    counted = np.arange(90.0, 900.0, 9.0)
    found = Calibration.fit(counted / 0.9, counted).interval(450)
    assert found.low == pytest.approx(500)
    assert found.high == pytest.approx(500)
    assert 450 not in found


@pytest.mark.parametrize(
    ("power", "growth", "ratio"), [(0.0, "absolute", 1.0), (0.5, "sqrt", 4.0), (1.0, "proportional", 16.0)]
)
def test_intervals_grow_with_the_count_as_the_errors_do(power, growth, ratio):
    rng = np.random.default_rng(1)
    counted = rng.uniform(20, 2000, 300)
    known = Calibration.fit(counted + rng.normal(0, 1, 300) * counted**power, counted)
    assert known.growth == growth
    small, large = known.interval(100), known.interval(1600)
    assert (large.high - large.low) / (small.high - small.low) == pytest.approx(ratio, rel=0.15)


def test_the_scale_is_chosen_with_the_image_in_question_among_the_others():
    """With the truths that an image may have, errors may look absolute or proportional: both belong to the hull."""
    counted = np.array([10.0] * 10 + [1000.0] * 9)
    errors = np.array([1.0, -1.0] * 5 + [6.0, -6.0] * 4 + [6.0])
    known = Calibration.fit(counted + errors, counted)
    by_hand = [truth for truth in np.arange(900, 1100, 0.05) if _belongs(known, 1000.0, truth, 0.8)]
    found = known.interval(1000.0, 0.8)
    assert (found.low, found.high) == pytest.approx((min(by_hand), max(by_hand)), abs=0.06)


@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.7, 0.9]), st.floats(0, 3000))
def test_an_interval_is_the_hull_of_the_truths_that_belong_to_it(seed, level, count):
    rng = np.random.default_rng(seed)
    heads, counted = counts(rng, int(rng.integers(9, 40)), power=rng.choice([0.0, 0.5, 1.0]), bias=0.1)
    known = Calibration.fit(heads, counted)
    found = known.interval(count, level)
    for truth in rng.uniform(0, 2 * count + 100, 20):
        assert truth in found or not _belongs(known, count, truth, level)


def _belongs(known, count, truth, level):
    """Full conformal prediction as it is written: one truth is tried, and all n + 1 images choose the scale."""
    heads, counted = np.append(known.heads, truth), np.append(known.counted, count)
    n = known.images
    costs, scores = [], []
    for power in (0.0, 0.5, 1.0):
        size = np.maximum(counted, 1) ** power
        scores.append((heads - counted) / size)
        costs.append(np.log(np.abs(scores[-1]).mean()) + np.log(size).mean())
    own = scores[int(np.argmin(costs))]
    upper = int(np.ceil(round((n + 1) * (1 + level) / 2, 9)))
    if upper <= n:
        ordered = np.sort(own[:-1])
        return ordered[n - upper] <= own[-1] <= ordered[upper - 1]
    return abs(own[-1]) <= np.sort(np.abs(own[:-1]))[int(np.ceil(round((n + 1) * level, 9))) - 1]


def test_small_counts_are_scaled_as_one_head_is():
    """Counts below one would divide by next to nothing: all of them have the scale of one head."""
    counted = np.array([0.2, 0.4, 0.6, 0.8, 1.0] * 4)
    errors = np.arange(1.0, 21.0)
    known = Calibration.fit(counted + errors, counted)
    for count in (0.1, 0.9, 1.0):
        assert known.interval(count).high == pytest.approx(count + 20)
    by_hand = [truth for truth in np.arange(0, 60, 0.01) if _belongs(known, 1.6, truth, 0.9)]
    found = known.interval(1.6)
    assert (found.low, found.high) == pytest.approx((min(by_hand), max(by_hand)), abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_the_ends_are_the_first_and_the_last_truth_that_belongs(seed):
    rng = np.random.default_rng(seed)
    counted = rng.uniform(0.1, 40, 19)
    heads = np.maximum(0, counted + rng.normal(0.3, 1, 19) * counted ** rng.choice([0, 0.5, 1]))
    known, count = Calibration.fit(heads, counted), float(rng.uniform(0.2, 60))
    by_hand = [truth for truth in np.arange(0, 3 * count + 60, 0.05) if _belongs(known, count, truth, 0.9)]
    found = known.interval(count)
    assert (found.low, found.high) == pytest.approx((min(by_hand), max(by_hand)), abs=0.06)


def test_both_ends_of_an_interval_belong_to_it_and_its_level_is_shown():
    interval = Interval(1170, 1330.4, 0.9)
    assert 1170 in interval
    assert 1330.4 in interval
    assert 1169.9 not in interval
    assert 1330.5 not in interval
    assert str(interval) == "90 %: 1,170 to 1,330"


def test_a_truth_below_nobody_is_nobody():
    counted = np.geomspace(25, 4000, 30)
    known = Calibration.fit(counted - 20, counted)
    assert known.growth == "absolute"
    assert known.interval(3) == Interval(0, 0, 0.9)


def test_where_no_truth_agrees_with_its_scale_that_of_the_held_out_images_decides(monkeypatch):
    """No such calibration was found among 80,000 random ones, nor a proof that there is none."""
    monkeypatch.setattr(intervals, "_winning", lambda *_: (np.inf, -np.inf))
    counted = np.linspace(100, 2000, 39)
    shares = np.random.default_rng(0).permutation(np.linspace(-0.19, 0.19, 39))
    known = Calibration.fit(counted * (1 + shares), counted)
    assert known.growth == "proportional"
    found = known.interval(1000, 0.8)  # the fourth of 39 and its mirror image
    assert (found.low, found.high) == pytest.approx((1000 - 160, 1000 + 160))


def test_whole_numbers_calibrate_as_others_do():
    known = Calibration.fit([1, 2], [2, 1])
    assert known.heads.dtype == known.counted.dtype == np.float64


def test_too_few_images_give_no_interval_and_say_how_many_it_takes():
    known = Calibration.fit([10] * 8, [11] * 8)
    assert known.interval(10) is None
    assert known.why_not() == (
        "90 % needs 9 images that were not trained on, and 8 are known: the highest level is 88.8 %"
    )
    assert known.why_not(0.88) is None
    assert known.interval(10, 0.88) == Interval(10 - 1, 10 + 1, 0.88)
    assert Calibration.fit([10] * 9, [11] * 9).why_not() is None


def test_without_images_there_is_no_interval_and_the_reason_is_the_given_one():
    assert Calibration().interval(5) is None
    assert Calibration(missing="it is of another camera").why_not() == "it is of another camera"


def test_an_interval_never_reaches_below_nobody():
    known = Calibration.fit([0, 30] * 15, [20, 10] * 15)
    assert known.interval(3).low == 0
    assert Calibration.fit([0] * 30, [20] * 30).interval(3) == Interval(0, 0, 0.9)


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, float("nan"), "0.9", True, None])
def test_another_level_than_a_share_is_refused(level):
    with pytest.raises(UsageError, match=r"level: expected a number between 0 and 1, such as 0\.9, got"):
        Calibration().interval(5, level)


def test_a_level_in_percent_is_understood_in_the_message():
    with pytest.raises(UsageError, match=r"got 90\. Did you mean 0\.9\?$"):
        Calibration().why_not(90)
    with pytest.raises(UsageError, match=r"got 1\.5\. Did you mean 0\.015\?$"):
        Calibration().why_not(1.5)
    for level in (1, 100, 100.5):
        with pytest.raises(UsageError, match=rf"such as 0\.9, got {level}\.$"):
            Calibration().why_not(level)


@pytest.mark.parametrize(("heads", "counted"), [([1, 2], [1]), ([[1]], [[1]]), ([1], [float("nan")])])
def test_counts_that_calibrate_nothing_are_refused(heads, counted):
    with pytest.raises(
        UsageError, match=r"^Expected (a count for each|finite heads and counts to calibrate with, got NaN)"
    ):
        Calibration.fit(heads, counted)
