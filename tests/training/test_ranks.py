"""What is told where another of the processes that train together has ended."""

from datetime import timedelta

import pytest
import torch

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.training.ranks import join_ranks, told_of_ranks

LOST = [
    RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:27310\nand more"),
    RuntimeError("NCCL error in: ProcessGroupNCCL.cpp"),
    torch.distributed.DistNetworkError("the client socket has timed out"),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_connection_that_broke_is_one_line_with_what_to_do(error):
    with pytest.raises(RunError, match=r"\A.* expected all 2 to go on .*The last saved state stands\.\Z") as told:
        raise_in(2, error)
    assert told.value.about == "lost process"
    assert "\n" not in str(told.value)
    assert "pair.cc" not in str(told.value)


@pytest.mark.parametrize(
    ("processes", "error"),
    [
        (1, LOST[0]),
        (2, RuntimeError("mat1 and mat2 shapes cannot be multiplied")),
        (2, RunError("gloo")),
        (2, KeyError()),
    ],
    ids=["alone", "another fault", "told already", "another kind"],
)
def test_other_errors_pass_as_they_are(processes, error):
    with pytest.raises(type(error)) as told:
        raise_in(processes, error)
    assert told.value is error


@pytest.mark.parametrize(("given", "minutes"), [(None, 30), ("0.5", 0.5), ("", 30)])
def test_a_wait_for_others_ends_after_the_minutes_that_are_asked_for(monkeypatch, given, minutes):
    monkeypatch.delenv("SAM_MPROMPT_RANK_MINUTES", raising=False)
    if given is not None:
        monkeypatch.setenv("SAM_MPROMPT_RANK_MINUTES", given)
    asked = {}
    monkeypatch.setattr("sam_mprompt.training.ranks.PartialState", lambda **options: asked.update(options))
    join_ranks()
    assert asked["timeout"] == timedelta(minutes=minutes)


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon"])
def test_minutes_that_are_none_are_refused_by_name(monkeypatch, given):
    monkeypatch.setenv("SAM_MPROMPT_RANK_MINUTES", given)
    with pytest.raises(UsageError, match=rf"SAM_MPROMPT_RANK_MINUTES: expected minutes above 0 .* got '{given}'"):
        join_ranks()


def test_others_that_cannot_be_reached_in_the_beginning_are_one_line_too(monkeypatch):
    def refused(**_options):
        raise torch.distributed.DistNetworkError("The client socket has timed out")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("sam_mprompt.training.ranks.PartialState", refused)
    with pytest.raises(RunError, match="expected all 2 to go on"):
        join_ranks()


def raise_in(processes, error):
    with told_of_ranks(processes):
        raise error
