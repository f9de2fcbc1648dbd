"""An image that hangs ends its process, whatever it hangs in, and the reason is known where it could be noted."""

import subprocess
import sys
import time

import pytest
from small_job import Lengths, job_at

from sam_mprompt.distributed.attempts import MOST, Attempts
from sam_mprompt.distributed.deadline import in_time
from sam_mprompt.distributed.part import do_part

_HANGS = """
import ctypes, sys, time
from small_job import Lengths
from sam_mprompt.distributed import deadline
from sam_mprompt.distributed.job import Job
from sam_mprompt.distributed.part import do_part

if hold := sys.argv[2] == "hold":
    deadline.GRACE_SECONDS = 1.0


class Hangs(Lengths):
    def rows(self, images):
        for row in super().rows(images):
            if row["image"] == "b.png":
                ctypes.PyDLL(None).sleep(10**6) if hold else time.sleep(1e6)
            yield row


print(do_part(Job.found(sys.argv[1]), 0, Hangs(), image_seconds=2))
"""


def hanging(tmp_path, how):
    """Do the first part in a process; hang over one of its images, with the interpreter held or not."""
    command = [sys.executable, "-c", _HANGS, tmp_path, how]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))


@pytest.mark.slow
def test_an_image_that_hangs_ends_its_process_until_it_is_quarantined_with_the_reason(tmp_path):
    job_at(tmp_path)
    assert [hanging(tmp_path, "sleep").returncode for _ in range(1 + MOST)] == [1] * (1 + MOST)
    ended = hanging(tmp_path, "sleep")
    assert (ended.returncode, ended.stdout) == (0, "Done(images=3, quarantined=1)\n")
    assert job_at(tmp_path).rows(0).column("quarantined").to_pylist() == [
        None, f"the process that worked on it ended {MOST} times: no result within 2 s", None
    ]  # fmt: skip


@pytest.mark.slow
def test_what_holds_the_interpreter_while_it_hangs_is_ended_too(tmp_path):
    job = job_at(tmp_path)
    for _ in range(2):
        ended = hanging(tmp_path, "hold")
        assert ended.returncode == 1
        assert "Timeout" in ended.stderr
    assert Attempts.begin(job, 0).ended == {"b.png": 1}


@pytest.mark.slow
def test_rows_that_come_in_time_pass_and_what_the_caller_does_between_them_does_not_count():
    seen = []
    for row in in_time(iter(range(3)), 3, lambda: seen.append("late")):
        time.sleep(3.5 if row == 1 else 0)
        seen.append(row)
    assert seen == [0, 1, 2]


def test_what_the_work_raises_is_raised(tmp_path):
    def broken():
        yield 0
        raise OSError("no library")

    with pytest.raises(OSError, match="no library"):
        list(in_time(broken(), 60, lambda: None))
    assert do_part(job_at(tmp_path), 0, Lengths(), image_seconds=60) == (3, 0)
