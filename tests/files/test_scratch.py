"""Folders for what is needed only while a process runs."""

import os
import tempfile

import pytest

from sam_mprompt.files import scratch_folder
from sam_mprompt.files.processes import host_mark


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_goes_with_the_next_folder(temporary):
    dead = temporary / f"sam-mprompt-99999999-{host_mark()}-abc"
    dead.mkdir()
    (dead / "video.mp4").write_bytes(b"large")
    made = scratch_folder()
    assert list(temporary.iterdir()) == [made]


def test_what_the_living_and_other_hosts_and_others_use_stays(temporary):
    names = (f"{os.getppid()}-{host_mark()}-abc", "99999999-ffffff-abc", "notes", f"99999999-{host_mark()}-a.txt")
    kept = {temporary / f"sam-mprompt-{name}" for name in names}
    for path in kept:
        path.mkdir()
    made = {scratch_folder(), scratch_folder()}
    assert len(made) == 2
    assert {*temporary.iterdir()} == kept | made
