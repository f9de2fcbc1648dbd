import pytest

from sam_mprompt.recipe.schema import TrainRecipe
from sam_mprompt.training.schedule import falling, learning_rate, warming_up


def test_the_step_schedule_drops_by_its_factor_every_so_many_epochs():
    train = TrainRecipe(epochs=700, lr=1e-4, step_factor=0.4)
    rates = [learning_rate(train, epoch) for epoch in (0, 299.9, 300, 599.9, 650)]
    assert rates == pytest.approx([1e-4, 1e-4, 4e-5, 4e-5, 1.6e-5])


def test_the_cosine_schedule_warms_up_and_falls_to_zero_at_the_last_epoch():
    train = TrainRecipe(epochs=10, lr=1.0, schedule="cosine", warmup_epochs=2.0)
    assert learning_rate(train, 0) == pytest.approx(1e-3 / 2.001)
    assert learning_rate(train, 1) == pytest.approx(1.001 / 2.001)
    assert learning_rate(train, 1.999) == pytest.approx(1.0, abs=1e-3)
    assert [learning_rate(train, epoch) for epoch in (2, 4, 6, 10)] == pytest.approx([1, 0.853553, 0.5, 0], abs=1e-6)


def test_the_constant_schedule_stays_after_its_warm_up():
    train = TrainRecipe(epochs=10, lr=0.5, schedule="constant", warmup_epochs=1.0)
    assert learning_rate(train, 0.5) == pytest.approx(0.5 * 0.501 / 1.001)
    assert [learning_rate(train, epoch) for epoch in (1, 5, 10)] == [0.5, 0.5, 0.5]


def test_a_warm_up_longer_than_a_step_goes_before_it():
    train = TrainRecipe(epochs=10, lr=1.0, step_epochs=1, step_factor=0.5, warmup_epochs=4.0)
    assert learning_rate(train, 3) == pytest.approx(3.001 / 4.001)
    assert learning_rate(train, 4) == pytest.approx(1 / 16)


def test_a_warm_up_starts_at_the_place_that_is_given_and_ends_at_the_rate():
    assert [warming_up(2.0, at, 10, start=1.0) for at in (0, 4.5, 10)] == pytest.approx([2 / 11, 1.0, 2.0])


def test_half_a_cosine_falls_between_its_ends_and_stays_at_zero():
    assert [falling(4.0, at, 10, 20) for at in (10, 15, 20, 90)] == pytest.approx([4, 2, 0, 0], abs=1e-9)
    assert falling(4.0, 12.5, 10, 20) == pytest.approx(2 * (1 + 2**-0.5))


def test_a_fall_of_no_length_is_at_its_end():
    assert falling(4.0, 10.5, 10, 10) == pytest.approx(0)
    assert falling(4.0, 10, 10, 10) == 4.0
