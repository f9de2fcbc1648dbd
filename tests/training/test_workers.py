"""What becomes of a worker that is stuck or lost."""

import os
import signal
import time
from multiprocessing import resource_sharer

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from sam_mprompt.errors import Interrupted, RunError, UsageError
from sam_mprompt.training.workers import patiently, start_worker, told_of_workers

POLL = 0.25  # seconds; a fourth of what training takes, so that nobody waits long for these tests


class Numbers(Dataset):
    """0 to 3; the item `at` does something else first."""

    def __init__(self, at=None, act=None):
        self.at, self.act = at, act

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == self.at:
            self.act()
        return torch.tensor(index)


def loader_of(data, workers=1):
    return DataLoader(data, num_workers=workers, worker_init_fn=start_worker, timeout=POLL if workers else 0)


def sleep():
    time.sleep(4 * POLL)


def sleep_a_little():
    time.sleep(2.5 * POLL)


def vanish():
    os.kill(os.getpid(), signal.SIGKILL)


def refuse():
    raise UsageError("Cannot read image 'a.jpg'.")


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_as_without_waiting(workers):
    asked = []
    batches = list(patiently(loader_of(Numbers(), workers), lambda: asked.append(1)))
    assert [int(batch) for batch in batches] == [0, 1, 2, 3]


def test_a_slow_worker_is_waited_for_and_loses_nothing():
    asked = []
    batches = list(patiently(loader_of(Numbers(1, sleep_a_little)), lambda: asked.append(1)))
    assert [int(batch) for batch in batches] == [0, 1, 2, 3]
    assert asked


@pytest.mark.slow
def test_a_stuck_worker_ends_the_training_with_what_to_do():
    with pytest.raises(RunError, match=r"No batch came from the data workers .* train\.workers = 0") as said:
        list(patiently(loader_of(Numbers(1, sleep)), lambda: None, patience=POLL))
    assert said.value.about == "lost worker"
    assert "\n" not in str(said.value)


def test_a_stop_request_is_heard_while_no_batch_comes():
    def ask():
        raise Interrupted("stopped")

    started = time.monotonic()
    with pytest.raises(Interrupted):
        list(patiently(loader_of(Numbers(0, sleep)), ask))
    assert time.monotonic() - started < 80 * POLL


def test_a_killed_worker_makes_one_line():
    with (
        pytest.raises(RunError, match=r"A data worker \(process \d+\) .* Lower train\.workers") as said,
        told_of_workers(),
    ):
        list(patiently(loader_of(Numbers(1, vanish)), lambda: None))
    assert "\n" not in str(said.value)


class Unsendable(Numbers):
    """What a worker cannot hand over, as a batch for which shared memory has no room."""

    def __getitem__(self, index):
        return torch.tensor(index) if index != self.at else (lambda: index)


def test_a_batch_that_a_worker_cannot_hand_over_makes_one_line_at_once_and_no_traceback(capfd):
    loader = DataLoader(
        Unsendable(1), num_workers=1, worker_init_fn=start_worker, timeout=POLL, batch_size=None, collate_fn=None
    )
    with pytest.raises(RunError, match=r"A data worker \(process \d+\) .* Lower train\.workers"), told_of_workers():
        list(patiently(loader, lambda: None))
    assert "Traceback" not in capfd.readouterr().err


class Late(DataLoader):
    """Is looked at only when nobody hands over any more what was announced."""

    def __iter__(self):
        batches = super().__iter__()
        time.sleep(POLL)
        return batches


def hand_over_no_more_and_end():
    time.sleep(POLL / 2)  # until the batch before is announced
    resource_sharer.stop()
    time.sleep(2 * POLL)
    os._exit(1)


def test_a_batch_whose_worker_ends_before_it_is_taken_over_makes_the_same_line():
    loader = Late(
        Numbers(1, hand_over_no_more_and_end),
        num_workers=1,
        worker_init_fn=start_worker,
        timeout=POLL,
    )
    with pytest.raises(RunError, match=r"A data worker \(process \d+\) .* Lower train\.workers"), told_of_workers():
        list(patiently(loader, lambda: None))


class Missing(Numbers):
    """An image that is gone is no lost worker."""

    def __getitem__(self, index):
        raise FileNotFoundError("a.jpg")


# PyTorch waits five seconds for a worker that raised something.
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_that_is_missing_is_not_taken_for_a_lost_worker(workers):
    with pytest.raises(FileNotFoundError, match=r"a\.jpg"), told_of_workers():
        list(patiently(loader_of(Missing(), workers), lambda: None))


@pytest.mark.slow  # for the same reason
def test_what_a_worker_refuses_is_said_without_its_traceback():
    with pytest.raises(UsageError, match=r"^Cannot read image 'a\.jpg'\.$"), told_of_workers():
        list(patiently(loader_of(Numbers(1, refuse)), lambda: None))


def test_other_errors_pass_as_they_are():
    with pytest.raises(RuntimeError, match=r"^other$"), told_of_workers():
        raise RuntimeError("other")
