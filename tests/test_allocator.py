"""Freed memory that stays with the process, in processes of their own, as it holds for all that they do."""

import ctypes
import os
import subprocess
import sys

import pytest

import sam_mprompt
from sam_mprompt.allocator import SETTINGS, keep_freed_memory

_FREED = """
import os, sys, threading, numpy
from sam_mprompt import keep_freed_memory
kept = sys.argv[1] == "kept" and keep_freed_memory()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
thread = threading.Thread(target=lambda: numpy.ones(128 << 20, dtype=numpy.uint8))
thread.run() if sys.argv[2] == "main" else (thread.start(), thread.join())
print(kept, (resident() - before) >> 20)
"""
_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")
of_glibc = pytest.mark.skipif(not _GLIBC, reason="asks glibc")
THREADS = pytest.mark.parametrize("thread", ["main", "another"])


def told(way: str, thread: str, **variables: str) -> tuple[str, int]:
    """Return whether freed memory is kept, and the MiB that a process holds of a block of 128 MiB that was freed."""
    environment = {name: value for name, value in os.environ.items() if name not in {*SETTINGS, "GLIBC_TUNABLES"}}
    command = [sys.executable, "-c", _FREED, way, thread]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment | variables)
    kept, held = done.stdout.split()
    return kept, int(held)


@of_glibc
@THREADS
def test_a_block_that_was_freed_stays_for_the_next_one(thread):
    kept, held = told("kept", thread)
    assert kept == "True"
    assert held >= 120


@of_glibc
@THREADS
def test_large_blocks_go_back_to_the_system_where_nobody_asked(thread):
    kept, held = told("default", thread)
    assert kept == "False"
    assert held <= 8


@of_glibc
@pytest.mark.parametrize("name", [*SETTINGS, "GLIBC_TUNABLES"])
def test_what_the_environment_tells_glibc_holds(name):
    kept, held = told("kept", "main", **{name: "glibc.malloc.arena_max=4" if name == "GLIBC_TUNABLES" else "4194304"})
    assert kept == "False"
    assert held <= 8


@of_glibc
@pytest.mark.parametrize("variables", [{"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}, {"MALLOC_ARENA_MAX": ""}])
def test_variables_that_tell_glibc_nothing_of_memory_do_not_count(variables):
    assert told("kept", "main", **variables)[0] == "True"


@pytest.mark.parametrize(("platform", "library"), [("darwin", None), ("linux", object()), ("linux", OSError())])
def test_another_system_or_c_library_is_left_alone(monkeypatch, platform, library):
    def opened(_):
        assert library is not None, "nothing is opened on another system"
        if isinstance(library, OSError):
            raise library
        return library

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", opened)
    for name in (*SETTINGS, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    assert keep_freed_memory() is False


def test_a_python_without_ctypes_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert keep_freed_memory() is False


def test_it_is_offered_to_programs_that_count():
    assert sam_mprompt.keep_freed_memory is keep_freed_memory
