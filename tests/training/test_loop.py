import pytest

from sam_mprompt.training.loop import Steps


@pytest.mark.parametrize(
    ("batches", "accumulation", "after", "groups"),
    [
        (3, 1, [True, True, True], [1, 1, 1]),
        (3, 2, [False, True, True], [2, 2, 1]),
        (4, 4, [False, False, False, True], [4, 4, 4, 4]),
        (2, 4, [False, True], [2, 2]),
    ],
)
def test_batches_group_into_steps_and_an_epoch_ends_with_one(batches, accumulation, after, groups):
    steps = Steps(batches, accumulation)
    assert [steps.after(batch) for batch in range(batches)] == after
    assert [steps.group(batch) for batch in range(batches)] == groups
    assert steps.per_epoch == sum(after)
