"""Freed memory that stays with the process, in processes of their own, as it holds for all that they do."""

import ctypes
import os
import subprocess
import sys

import pytest

import sam_mprompt
from sam_mprompt import allocator
from sam_mprompt.allocator import keep_freed_memory

_FREED = """
import os, sys, numpy
from sam_mprompt import keep_freed_memory
kept = sys.argv[1] == "kept" and keep_freed_memory()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
numpy.ones(64 << 20, dtype=numpy.uint8)
print(kept, (resident() - before) >> 20)
"""
_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


def told(way: str, **variables: str) -> tuple[str, int]:
    """Return whether freed memory is kept, and the MiB that a process holds of a block of 64 MiB that was freed."""
    environment = {name: value for name, value in os.environ.items() if name not in allocator._SETTINGS}
    command = [sys.executable, "-c", _FREED, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment | variables)
    kept, held = done.stdout.split()
    return kept, int(held)


@pytest.mark.skipif(not _GLIBC, reason="asks glibc")
def test_a_block_that_was_freed_stays_for_the_next_one():
    kept, held = told("kept")
    assert kept == "True"
    assert held >= 60


@pytest.mark.skipif(not _GLIBC, reason="asks glibc")
@pytest.mark.parametrize(
    ("way", "variables"), [("default", {}), ("kept", {"MALLOC_MMAP_THRESHOLD_": "33554432"})], ids=["unasked", "set"]
)
def test_large_blocks_go_back_to_the_system_where_nobody_asked_or_the_environment_says_how(way, variables):
    kept, held = told(way, **variables)
    assert kept == "False"
    assert held <= 4


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_another_c_library_is_left_alone(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    for name in allocator._SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert not keep_freed_memory()


def test_it_is_offered_to_programs_that_count():
    assert sam_mprompt.keep_freed_memory is keep_freed_memory
