"""What is told where another of the processes that train together has ended."""

import pytest
import torch

from sam_mprompt.errors import RunError
from sam_mprompt.training.ranks import told_of_ranks

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


def raise_in(processes, error):
    with told_of_ranks(processes):
        raise error
