"""What a process may have of its machine, and what of it is too little."""

import os
from types import SimpleNamespace

import pytest
import torch

from sam_mprompt.cli.advice import advised
from sam_mprompt.doctor import machine
from sam_mprompt.doctor.machine import disks, file_system


def problems(section, about):
    return [problem for problem in section.problems if problem.error.about == about]


def test_cores_threads_memory_and_linear_algebra_are_told():
    rows = machine.machine().rows
    assert rows["cores"].startswith(f"{os.cpu_count()} of the machine")
    assert {"memory", "BLAS of NumPy", "threads of torch", "BLAS of torch", "threads of OpenCV"} <= rows.keys()
    assert rows["threads of torch"].startswith(f"{torch.get_num_threads()}, ")


@pytest.mark.parametrize(("free", "stops"), [(0.4e9, [True]), (1e9, [False]), (3e9, []), (None, [])])
def test_too_little_memory_is_a_note_and_hardly_any_stops(monkeypatch, free, stops):
    monkeypatch.setattr(machine, "available_memory", lambda: free)
    assert [problem.stops for problem in problems(machine.machine(), "little memory")] == stops


def test_small_shared_memory_is_told_before_a_worker_dies_of_it(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_SHARED", tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(total=64e6, free=60e6))
    section = machine.machine()
    assert section.rows["/dev/shm"] == "64 MB, 60 MB free"
    [problem] = problems(section, "shared memory")
    assert not problem.stops
    assert "--shm-size=2g" in advised(problem.error)


@pytest.mark.parametrize(("cores", "told"), [(0.5, []), (1.0, []), (1000.0, [])])
def test_one_thread_is_never_too_many(monkeypatch, cores, told):
    monkeypatch.setattr(machine, "cores_given", lambda: cores)
    assert problems(machine.machine(), "threads") == told


def test_more_threads_than_cores_are_told_with_the_right_number(monkeypatch):
    monkeypatch.setattr(machine, "cores_given", lambda: 2.5)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    [problem] = problems(machine.machine(), "threads")
    assert advised(problem.error).endswith("got 8 for 2.5: they wait for each other. Set OMP_NUM_THREADS=2.")


@pytest.mark.parametrize(("free", "stops"), [(0.05e9, True), (0.5e9, False), (2e9, None)])
def test_a_full_disk_stops_and_a_nearly_full_one_is_a_note(monkeypatch, free, stops):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(total=1e12, free=free))
    found = {problem.stops for problem in problems(disks(), "full disk")}
    assert found == (set() if stops is None else {stops})


def test_the_current_folder_is_not_named(monkeypatch, tmp_path):
    (tmp_path / "a-secret-project").mkdir()
    monkeypatch.chdir(tmp_path / "a-secret-project")
    rows = disks().rows
    assert "a-secret-project" not in str(rows)
    assert "GB free" in rows["current folder"] or "MB free" in rows["current folder"]


def test_a_cache_that_is_read_only_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("SAM_MPROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine.os, "access", lambda path, _: path != tmp_path)
    section = disks()
    assert section.rows["cache"].endswith("read only")
    assert [problem.stops for problem in problems(section, "cache folder")] == [False]


def test_the_kind_of_a_file_system_is_that_of_the_innermost_mount(tmp_path):
    mounts = tmp_path / "mounts"
    inner = tmp_path / "with blank"
    inner.mkdir()
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/x {str(inner).replace(' ', chr(92) + '040')} nfs4 rw 0 0\nbroken\n"
    )
    assert file_system(inner / "below", mounts) == "nfs4"
    assert file_system(tmp_path, mounts) == "ext4"
    assert file_system(tmp_path, tmp_path / "nothing") == ""
