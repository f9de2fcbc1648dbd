import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from sam_mprompt.data.sample import Sample
from sam_mprompt.evaluation.localisation import Localisation, combined, localise, matches, tolerances


def sample(points, boxes=None):
    boxes = None if boxes is None else np.array(boxes, np.float32).reshape(-1, 4)
    return Sample("a.jpg", (100, 100), np.array(points, np.float32).reshape(-1, 2), boxes)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_the_matching_is_as_large_as_an_assignment_solver_finds(found, heads, seed):
    rng = np.random.default_rng(seed)
    predicted, actual = rng.uniform(0, 20, (found, 2)).astype(np.float32), rng.uniform(0, 20, (heads, 2))
    actual, tolerance = actual.astype(np.float32), rng.uniform(0, 8, heads)
    near = np.linalg.norm(actual[:, None].astype(float) - predicted[None], axis=2) <= tolerance[:, None]
    best = near[linear_sum_assignment(near, maximize=True)].sum() if near.size else 0
    assert matches(predicted, actual, tolerance) == best


def test_a_location_serves_one_head_only():
    heads = np.array([[10, 10], [12, 10]], np.float32)
    assert matches(np.array([[11, 10]], np.float32), heads, np.full(2, 5.0)) == 1


def test_the_rule_follows_the_heads_box():
    rules = tolerances(sample([[10, 10], [50, 50]], [[7, 6, 13, 14], [40, 47, 60, 53]]))
    assert rules["sigma_s"].tolist() == [3, 3]
    assert rules["sigma_l"].tolist() == pytest.approx([5, np.hypot(20, 6) / 2])
    found = localise(sample([[10, 10]], [[7, 6, 13, 14]]), np.array([[14, 10]], np.float32))
    assert (found["sigma_s"].matched, found["sigma_l"].matched) == (0, 1)


def test_without_a_box_for_each_head_distances_are_fixed():
    assert list(tolerances(sample([[1, 1], [5, 5]]))) == ["4 px", "8 px"]
    assert list(tolerances(sample([[1, 1], [5, 5]], [[0, 0, 2, 2]]))) == ["4 px", "8 px"]


def test_figures_are_over_all_heads_and_not_a_mean_over_images():
    large, small = Localisation(90, 100, 120), Localisation(0, 10, 0)
    total = combined([{"sigma_s": large}, {"sigma_s": small}])["sigma_s"]
    assert (total.precision, total.recall) == (90 / 110, 90 / 120)
    assert total.f1 == pytest.approx(2 * total.precision * total.recall / (total.precision + total.recall))


def test_an_empty_street_where_nobody_is_found_is_perfect():
    found = localise(sample([]), np.zeros((0, 2), np.float32))["4 px"]
    assert (found.precision, found.recall, found.f1) == (1, 1, 1)
