import pytest

from sam_mprompt.counting.video.every import Every, Schedule
from sam_mprompt.errors import UsageError


@pytest.mark.parametrize(
    ("given", "every"),
    [
        ("1s", Every(seconds=1)), ("500ms", Every(seconds=0.5)), (2, Every(seconds=2)), ("10f", Every(frames=10)),
        ("10 frames", Every(frames=10)), ("1 frame", Every(frames=1)), (Every(frames=3), Every(frames=3)),
    ],
)  # fmt: skip
def test_every_is_a_time_or_a_number_of_frames(given, every):
    assert Every.of(given) == every


@pytest.mark.parametrize("wrong", ["10", "0f", "-1f", "1.5f", "f", "0s", "ten frames", "", None])
def test_what_may_be_either_or_neither_is_refused(wrong):
    with pytest.raises(UsageError, match="such as 1s, 500ms, 10min or 10f, got"):
        Every.of(wrong)


def due(schedule, times):
    return [time for index, time in enumerate(times) if schedule.due(index, time)]


def test_the_first_frame_of_each_slot_is_due():
    assert due(Schedule(Every(seconds=1)), [0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4]) == [0, 1.2, 2.0]
    assert due(Schedule(Every(frames=3)), range(7)) == [0, 3, 6]


def test_times_that_a_container_has_rounded_down_count_as_whole():
    assert due(Schedule(Every(seconds=1)), [0, 0.9997, 1.5, 1.9996]) == [0, 0.9997, 1.9996]


def test_a_slot_without_a_frame_leaves_no_debt():
    assert due(Schedule(Every(seconds=1)), [0, 5.3, 5.6, 6.1]) == [0, 5.3, 6.1]


def test_where_a_frame_could_not_be_decoded_the_next_one_is_due():
    schedule = Schedule(Every(frames=2))
    assert schedule.due(0, 0.0)
    assert schedule.due(2, 0.2)
    schedule.missed()
    assert schedule.due(3, 0.3)
    assert schedule.due(4, 0.4)


def test_what_is_due_does_not_depend_on_where_one_goes_on():
    times = [0.07 * i for i in range(100)]
    whole = due(Schedule(Every(seconds=0.5)), times)
    assert due(Schedule(Every(seconds=0.5), after=whole[4]), times) == whole[5:]


def test_a_step_is_known_of_frames_only_where_their_rate_is():
    assert Every(seconds=2).step(None) == 2
    assert Every(frames=5).step(10) == 0.5
    assert Every(frames=5).step(None) is None
