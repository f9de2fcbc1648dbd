import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.files import locks
from sam_mprompt.files.locks import LOCK, holder, locked
from sam_mprompt.files.processes import host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks and kills")

HOLD = """
import os, sys, time
from pathlib import Path
os.register_at_fork(after_in_child=lambda: time.sleep({late}))
from sam_mprompt.files.locks import locked
with locked(Path(sys.argv[1]), "trained"):
    {inside}
    os.write(1, b"holding\\n")
    sys.stdin.readline()
"""

QUIET = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
"""No pipe of pytest's own: a worker that outlives its parent would keep pytest waiting for its end."""


@contextmanager
def another(folder, inside="pass", late=0):
    command = [sys.executable, "-c", HOLD.format(inside=inside, late=late), str(folder)]
    with subprocess.Popen(command, **QUIET) as process:
        assert process.stdout.readline().strip()
        try:
            yield process
        finally:
            process.kill()
            process.stdin = None


def test_the_second_taker_is_told_who_holds_the_folder(tmp_path):
    with another(tmp_path / "run") as process:
        said = rf"run' is being trained by process {process.pid}\. "
        with pytest.raises(UsageError, match=said), locked(tmp_path / "run", "trained"):
            pass
        assert holder(tmp_path / "run") == f"process {process.pid}"


def test_a_lock_is_free_when_its_holder_has_ended_and_leaves_nothing(tmp_path):
    with another(tmp_path) as process:
        process.communicate(b"\n")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        assert holder(tmp_path) == f"process {os.getpid()}"
    assert holder(tmp_path) is None


@pytest.mark.parametrize(
    ("inside", "late"),
    [("pass", 0), ("os.fork() or time.sleep(20)", 0), ("os.fork() or time.sleep(20)", 0.5)],
    ids=["alone", "with a worker", "with a worker that has only begun"],
)
def test_a_lock_of_a_killed_process_is_taken_over_though_its_workers_live(tmp_path, inside, late):
    with another(tmp_path, inside, late) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK).is_file()
        with locked(tmp_path):
            assert holder(tmp_path) == f"process {os.getpid()}"


def test_threads_of_one_process_keep_each_other_out(tmp_path):
    faults = []

    def take():
        try:
            with locked(tmp_path):
                pass
        except UsageError as error:
            faults.append(str(error))

    with locked(tmp_path):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert f"process {os.getpid()}" in faults[0]
    take()
    assert len(faults) == 1


def test_a_lock_is_freed_when_the_work_fails(tmp_path):
    def fail():
        with locked(tmp_path):
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_moved_is_not_unlocked_in_its_successor(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / LOCK).write_text("1 elsewhere")
    assert (folder / LOCK).is_file()


def test_of_many_processes_one_has_the_folder_at_a_time(tmp_path):
    code = """
import sys, time
from pathlib import Path
from sam_mprompt.errors import UsageError
from sam_mprompt.files.locks import locked
done, folder = 0, Path(sys.argv[1])
while done < 20:
    try:
        with locked(folder):
            inside = folder / "inside"
            inside.touch(exist_ok=False)
            inside.unlink()
            done += 1
    except UsageError:
        time.sleep(0.001)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]


@pytest.mark.parametrize(
    ("words", "free"),
    [("", True), (f"99999999 {host()}", True), (f"1 {host()}", False), ("1 another-host", False), ("rubbish", True)],
)
def test_where_the_disk_has_no_locks_the_file_is_the_lock(tmp_path, monkeypatch, words, free):
    monkeypatch.setattr(locks, "fcntl", None)
    (tmp_path / LOCK).write_text(words)
    if free:
        with locked(tmp_path):
            assert holder(tmp_path) == f"process {os.getpid()}"
            with pytest.raises(UsageError), locked(tmp_path):
                pass
    else:
        with pytest.raises(UsageError, match="process 1"), locked(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Cannot lock"), locked(tmp_path / "file" / "run"):
        pass
