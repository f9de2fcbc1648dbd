import numpy as np
import pytest

from benchmarks.accuracy.coverage import divided
from sam_mprompt.training.held_out import HeldOut


@pytest.fixture(scope="module")
def rows():
    """Eighty images whose counts are a tenth too low and err in proportion."""
    rng = np.random.default_rng(0)
    heads = rng.integers(10, 500, 80)
    return [HeldOut(str(n), 0, int(n), float(n * 0.9 * rng.normal(1, 0.2))) for n in heads]


def test_error_bars_of_a_half_hold_the_truths_of_the_other_as_often_as_they_promise(rows):
    found = divided(rows, 0.8, divisions=40)
    assert len(found.inside) == 40
    assert 0.78 < found.inside.mean() < 0.9
    assert found.row()[0] == "80 %"


def test_a_higher_level_holds_more_and_is_wider(rows):
    low, high = divided(rows, 0.6), divided(rows, 0.95)
    assert high.inside.mean() > low.inside.mean()
    assert (high.width > low.width).all()


def test_divisions_depend_on_the_seed_alone(rows):
    assert divided(rows, 0.8).row() == divided(rows, 0.8).row() != divided(rows, 0.8, seed=1).row()


def test_a_level_that_a_half_cannot_give_has_no_figure(rows):
    assert len(divided(rows[:10], 0.9).inside) == 0
