import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.files import (
    appending,
    check_output,
    is_stream,
    recover,
    recover_within,
    replacing,
    write_text,
    writing,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "folder"
    for names in (["a", "b"], ["c"]):
        with replacing(path) as temporary:
            temporary.mkdir()
            for name in names:
                (temporary / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["c"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_what_a_folder_was_can_be_kept(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(writing, "exchange", lambda *_: False)
    path, kept = tmp_path / "state", tmp_path / "state-before"
    for text in ("1", "2", "3"):
        with replacing(path, keep=kept) as temporary:
            temporary.mkdir()
            (temporary / "text").write_text(text)
        assert (kept / "text").is_file() == (text != "1")
    assert ((path / "text").read_text(), (kept / "text").read_text()) == ("3", "2")
    assert sorted(tmp_path.iterdir()) == [path, kept]


def test_an_error_names_what_is_written_and_not_its_temporary_path(tmp_path):
    def fail():
        with replacing(tmp_path / "state") as temporary:
            temporary.mkdir()
            raise RunError(f"Cannot write '{temporary / 'a.bin'}': no space.", about="diverged", fact=1)

    with pytest.raises(RunError) as told:
        fail()
    assert str(told.value) == f"Cannot write '{tmp_path / 'state' / 'a.bin'}': no space."
    assert (told.value.about, told.value.facts) == ("diverged", {"fact": 1})


def test_a_row_that_does_not_fit_leaves_nothing_of_itself(tmp_path):
    path = tmp_path / "rows.csv"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with appending(path) as add:
        add("a,1\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (6, limits[1]))
        try:
            with pytest.raises(RunError, match=r"rows\.csv': File too large"):
                add("b,2\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_text() == "a,1\n"
        add("c,3\n")
    assert path.read_text() == "a,1\nc,3\n"


def test_a_folder_that_cannot_be_replaced_is_still_there(tmp_path, monkeypatch):
    path, rename = tmp_path / "folder", Path.rename
    path.mkdir()
    (path / "old").write_text("old")

    def failing(source, target):
        if source.suffix == ".part" or (source / "new").exists():
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", failing)
    monkeypatch.setattr(writing, "exchange", lambda *_: False)

    def replace():
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / "new").write_text("new")

    with pytest.raises((OSError, RunError)):
        replace()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_work_error_that_names_the_file_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fill():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(RunError, match=r"a\.txt.*No space left"):
        fill()
    assert path.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_kill_while_saving_leaves_the_old_folder(tmp_path):
    path = tmp_path / "state"
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "value").write_text("old")
    script = f"""
import time
from pathlib import Path
from sam_mprompt.files import replacing
with replacing(Path({str(path)!r})) as temporary:
    temporary.mkdir()
    (temporary / "value").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (path / "value").read_text() == "old"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "12")
    reader.join(timeout=20)
    assert got == ["12"]
    assert [(file.name, stat.S_ISFIFO(file.stat().st_mode)) for file in tmp_path.iterdir()] == [("pipe", True)]


def test_a_device_is_written_to_and_stays_a_device(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"")
    except OSError:
        pytest.skip("only root makes devices, and not everywhere")
    write_text(device, "12")
    with appending(device) as add:
        add("12")
    assert stat.S_ISCHR(device.stat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


def test_a_dash_is_standard_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_text(Path("-"), "whole\n")
    with appending(Path("-")) as add:
        add("line\n")
    assert capsys.readouterr().out == "whole\nline\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [True, False], ids=["target", "no target"])
def test_a_links_target_is_replaced_and_the_link_stays(tmp_path, there):
    target, link = tmp_path / "elsewhere" / "target.csv", tmp_path / "link.csv"
    if there:
        write_text(target, "old")
    link.symlink_to(target)
    write_text(link, "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    assert list(target.parent.iterdir()) == [target]


def test_a_link_to_a_folder_stays_and_the_folder_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "state"
    link.symlink_to(tmp_path / "elsewhere")
    with replacing(link) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "new").read_text() == "new"


@pytest.mark.parametrize("kind", ["EISDIR", "ENOTDIR", "ENAMETOOLONG", "EROFS", "ENOSPC", "EDQUOT", "ELOOP", "EIO"])
def test_every_fault_of_the_disk_while_writing_is_one_line(tmp_path, kind):
    number = getattr(errno, kind)

    def fail():
        with replacing(tmp_path / "a.txt"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(RunError, match=r"^Cannot write '.*a\.txt': .+\.$"):
        fail()


def test_an_error_that_is_not_the_disks_keeps_its_name(tmp_path):
    def fail():
        with replacing(tmp_path / "a.txt"):
            raise FileNotFoundError(errno.ENOENT, "gone", "picture.jpg")

    with pytest.raises(FileNotFoundError):
        fail()


def unwritable(folder):
    """Paths that nothing can be written to, by why."""
    (folder / "file").touch()
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    return {
        "a folder": folder / "folder",
        "below a file": folder / "file" / "x" / "y.csv",
        "a long name": folder / ("n" * 256),
        "a loop of links": folder / "loop",
        "an empty name": Path(),
        "a NUL": folder / "a\0b",
        "half a character": folder / "\ud800",
    }


@pytest.mark.parametrize(
    "why",
    ["a folder", "below a file", "a long name", "a loop of links", "an empty name", "a NUL", "half a character"],
)
def test_what_cannot_be_written_is_told_before_the_work_and_by_the_writer(tmp_path, why):
    path = unwritable(tmp_path)[why]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"\A[^\n]+\.\Z"):
        check_output(path)
    for write in (lambda: write_text(path, "x"), lambda: appending(path).__enter__()):
        with pytest.raises((RunError, UsageError), match=r"\A[^\n]+\.\Z"):
            write()
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_is_checked_for_its_kind_and_suffix_and_nothing_is_made(tmp_path):
    check_output(tmp_path / "new" / "deep" / "a.csv")
    check_output(tmp_path / "new", "folder")
    check_output(tmp_path, "folder")
    check_output(Path("-"))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="expected a folder, there is a file"):
        check_output(tmp_path / "file", "folder")
    with pytest.raises(UsageError, match=r"ends in \.jpg or \.png"):
        check_output(tmp_path / "a.gif", suffixes=(".jpg", ".png"))
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["n" * 251 + ".jpg", "é" * 127, os.fsdecode(b"caf\xe9.jpg"), "a[b*].txt"])
def test_names_of_255_bytes_and_of_any_bytes_are_written(tmp_path, name):
    write_text(tmp_path / name, "x")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_bytes_of_names_that_are_not_utf8_do_not_end_the_writing_of_text(tmp_path):
    write_text(tmp_path / "a.csv", "caf\udce9")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "caf\\udce9"


def test_what_was_added_stays_when_the_process_is_killed(tmp_path):
    path = tmp_path / "rows.csv"
    write = "add('a,1\\n'); os.kill(os.getpid(), signal.SIGKILL)"
    for keep in (False, True):
        run_python(f"with appending(Path({str(path)!r}), keep={keep}) as add: {write}")
    assert path.read_text() == "a,1\na,1\n"


PRELUDE = "import os, signal, time; from pathlib import Path; from sam_mprompt.files import *\n"


def run_python(code):
    subprocess.run([sys.executable, "-c", PRELUDE + code], check=False)


def interrupted(path):
    """What stands beside `path` when a process is killed while it writes there."""
    run_python(f"with replacing(Path({str(path)!r})) as t: t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)")
    [leftover] = [file for file in path.parent.iterdir() if file.suffix == ".part"]
    return leftover


@pytest.mark.parametrize("name", ["a.npy", "a[1].npy", "n" * 255])
def test_leftovers_of_the_dead_are_removed_for_a_path_and_for_a_folder(tmp_path, name):
    for clear in (lambda: recover(tmp_path / name), lambda: recover_within(tmp_path)):
        assert interrupted(tmp_path / name).is_file()
        clear()
        assert list(tmp_path.iterdir()) == []


def test_leftovers_of_the_living_are_left_alone(tmp_path):
    code = f"with replacing(Path({str(tmp_path / 'a')!r})) as t: t.write_text('x'); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with replacing(tmp_path / "b") as ours:
            ours.write_text("y")
            recover_within(tmp_path)
            recover(tmp_path / "a")
            assert len([file for file in tmp_path.iterdir() if file.suffix == ".part"]) == 2
        process.communicate(b"\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_leftovers_of_another_host_are_removed_after_a_day(tmp_path):
    left = tmp_path / f".a.{os.getpid()}-ffffff-0.part"
    left.touch()
    recover_within(tmp_path)
    assert left.is_file()
    os.utime(left, (0, 0))
    recover_within(tmp_path)
    assert not left.exists()


def test_leftovers_of_version_01_and_of_our_own_number_are_removed(tmp_path):
    (tmp_path / f".a.{os.getpid()}.part").touch()
    (tmp_path / ".b.99999999.part").mkdir()
    recover_within(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_moved_aside_by_the_dead_is_put_back(tmp_path):
    (tmp_path / ".state.99999999-000000-0.old").mkdir()
    os.utime(tmp_path / ".state.99999999-000000-0.old", (0, 0))
    recover_within(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["state"]


def test_threads_that_write_one_path_leave_one_whole_file(tmp_path):
    texts = [str(number) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=write_text, args=(tmp_path / "a", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_text() in texts
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_another_process_writes_meanwhile_is_never_written_into(tmp_path):
    # Who has it mapped into memory would be killed by a file that is cut short under it.
    path, end = tmp_path / "cached.npy", threading.Event()

    def come_and_go():
        while not end.is_set():
            path.write_bytes(b"whole")
            path.unlink()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert not any(is_stream(path) for _ in range(20_000))
    finally:
        end.set()
        other.join()
