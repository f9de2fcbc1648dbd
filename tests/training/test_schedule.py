import pytest

from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.schedule import learning_rate


def test_schedules_follow_the_recipe(tiny_recipe):
    step = load_recipe(tiny_recipe, ["train.epochs=700", "train.lr=1e-4", "train.step_factor=0.4"])
    assert [learning_rate(step.train, epoch) for epoch in (0, 299.9, 300, 650)] == pytest.approx(
        [1e-4, 1e-4, 4e-5, 1.6e-5]
    )
    cosine = load_recipe(
        tiny_recipe, ["train.epochs=10", "train.lr=1.0", "train.schedule=cosine", "train.warmup_epochs=2.0"]
    )
    assert learning_rate(cosine.train, 0) < 0.01
    assert learning_rate(cosine.train, 1) == pytest.approx(0.5, abs=0.01)
    assert [learning_rate(cosine.train, epoch) for epoch in (2, 6, 10)] == pytest.approx([1, 0.5, 0], abs=1e-6)
