"""Jobs that come one by one are counted together."""

import threading
import time
from concurrent.futures import CancelledError, wait

import pytest
from small_service import PoolingCounter, photograph

from sam_mprompt.errors import RunError
from sam_mprompt.serve.batcher import Batcher, Job
from sam_mprompt.serve.memory_file import MemoryFile


def job(adapter="a", seed=0):
    return Job(MemoryFile(photograph(seed)), adapter)


@pytest.fixture
def counter():
    return PoolingCounter()


@pytest.fixture
def batcher(counter):
    made = Batcher(counter, max_batch=3, window=0.0)
    made.start()
    yield made
    counter.gate.set()
    made.close(10)
    assert not made.alive


def queued(batcher, counter, *jobs):
    """Let the counter be busy with one job while others are put into the queue, and count all."""
    counter.gate.clear()
    first = batcher.submit(job("first"))
    assert counter.begun.wait(10)
    for one in jobs:
        batcher.submit(one)
    assert batcher.waiting == len(jobs)
    counter.gate.set()
    wait([first.future, *(one.future for one in jobs)], 10)


def test_jobs_of_one_adapter_are_counted_together_up_to_the_most_and_the_oldest_first(batcher, counter):
    queued(batcher, counter, job("a"), job("b"), job("a"), job("a"), job("b"), job("a"))
    assert counter.calls == [("first", 1), ("a", 3), ("b", 2), ("a", 1)]


def test_each_job_gets_its_own_count(batcher, counter):
    jobs = [job(seed=seed) for seed in range(3)]
    queued(batcher, counter, *jobs)
    alone = [PoolingCounter().count(one.image.path).count for one in jobs]
    assert len(set(alone)) == 3
    assert [one.future.result().count for one in jobs] == pytest.approx(alone, rel=1e-9)


def test_a_job_alone_waits_for_others_no_longer_than_the_window():
    counter = PoolingCounter()
    patient = Batcher(counter, max_batch=3, window=1.0)
    patient.start()
    started = time.monotonic()
    together = [patient.submit(job()), patient.submit(job())]
    wait([one.future for one in together], 10)
    assert time.monotonic() - started >= 1.0
    full = [patient.submit(job()) for _ in range(3)]
    wait([one.future for one in full], 10)
    assert all(one.started - one.since < 1.0 for one in full)
    patient.close(10)
    assert counter.calls == [("a", 2), ("a", 3)]


def test_a_job_that_nobody_waits_for_is_not_counted(batcher, counter):
    kept, dropped = job(), job()

    def drop():
        batcher.withdraw(dropped)

    counter.gate.clear()
    batcher.submit(job("first"))
    assert counter.begun.wait(10)
    batcher.submit(dropped)
    batcher.submit(kept)
    threading.Thread(target=drop).start()
    with pytest.raises(CancelledError):
        dropped.future.result(10)
    counter.gate.set()
    kept.future.result(10)
    assert counter.calls == [("first", 1), ("a", 1)]
    assert batcher.waiting == 0


def test_what_fails_for_one_fails_for_that_one(batcher, counter, monkeypatch):
    bad = job(seed=1)
    usual = counter.count_many

    def count_many(images, **options):
        if bad.image.path in images:
            counter.calls.append((options["adapter"], len(images)))
            raise RunError("not this one")
        return usual(images, **options)

    monkeypatch.setattr(counter, "count_many", count_many)
    others = [job(seed=2), job(seed=3)]
    queued(batcher, counter, others[0], bad, others[1])
    assert [one.future.result().count > 0 for one in others] == [True, True]
    with pytest.raises(RunError, match="not this one"):
        bad.future.result()
    assert counter.calls == [("first", 1), ("a", 3), ("a", 1), ("a", 1), ("a", 1)]


def test_a_counter_that_forgets_an_image_does_not_leave_its_sender_waiting(batcher, counter, monkeypatch):
    monkeypatch.setattr(counter, "count_many", lambda _images, **_options: iter(()))
    with pytest.raises(RunError, match="got none for one"):
        batcher.submit(job()).future.result(10)


def test_closing_counts_what_waits_and_takes_nothing_more(batcher, counter):
    counter.gate.clear()
    waiting = [batcher.submit(job("first"))]
    assert counter.begun.wait(10)
    waiting += [batcher.submit(job()) for _ in range(4)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    while True:
        try:
            waiting.append(batcher.submit(job()))
        except RunError as error:
            assert "shut down" in str(error)  # noqa: PT017 - which of the tries is refused is not known
            break
    counter.gate.set()
    closing.join(10)
    assert all(one.future.result(0).count > 0 for one in waiting)


def test_the_time_until_the_queue_is_empty_follows_what_counting_took(batcher, counter):
    assert batcher.wait() == 1
    for _ in range(30):
        batcher.submit(job()).future.result(10)
    counter.gate.clear()
    for _ in range(9):
        batcher.submit(job())
    assert batcher.wait() == 1
    assert batcher.busy_for >= 0
    counter.gate.set()
