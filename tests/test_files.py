import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sam_mprompt.errors import RunError
from sam_mprompt.files import replacing, write_text


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


def test_a_folder_that_cannot_be_replaced_is_still_there(tmp_path, monkeypatch):
    path, rename = tmp_path / "folder", Path.rename
    path.mkdir()
    (path / "old").write_text("old")

    def failing(source, target):
        if source.suffix == ".part" or (source / "new").exists():
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", failing)

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
