"""The measurement of freed memory that is kept, in small."""

import pytest

from benchmarks.speed import allocator
from benchmarks.speed.allocator import JOBS, measure


@pytest.mark.slow
def test_a_job_is_measured_with_freed_memory_and_without():
    job = "training step of `shb-scratch`"
    faster, smaller = measure(job, rounds=1)
    assert faster.what == f"{job}, freed memory kept"
    assert smaller.what == f"{job}, freed memory kept: most memory"
    assert faster.ratio.median > 0
    assert 0.5 < smaller.ratio.median < 2


def test_a_process_without_glibc_is_not_measured_as_one_that_keeps_memory(monkeypatch):
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: False)
    with pytest.raises(SystemExit, match="glibc"):
        allocator.begin(next(iter(JOBS)), kept=True)
