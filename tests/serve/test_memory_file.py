"""Bytes as a file that no disk holds."""

import errno
import gc
import os
import tempfile

import pytest
from small_service import memory_files

from sam_mprompt.errors import RunError
from sam_mprompt.serve.memory_file import MemoryFile


def test_a_file_is_opened_by_its_path_and_gone_with_its_object(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = memory_files()
    file = MemoryFile(b"content")
    path = file.path
    assert (path.read_bytes(), file.size, os.fspath(file)) == (b"content", 7, str(path))
    assert list(tmp_path.iterdir()) == []
    file.hold()
    file.release()
    assert path.read_bytes() == b"content"
    file.release()
    assert memory_files() == before


def test_a_file_that_is_forgotten_is_gone_too():
    before = memory_files()
    file = MemoryFile(b"content")
    assert memory_files() == before + 1
    del file
    gc.collect()
    assert memory_files() == before


def test_without_files_in_memory_it_lies_in_the_temporary_folder_and_is_removed(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = MemoryFile(b"content")
    assert file.path.parent == tmp_path
    assert file.path.read_bytes() == b"content"
    assert file.path.stat().st_mode & 0o077 == 0
    file.release()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match="Cannot hold 7 bytes of a request: No space left on device"):
        MemoryFile(b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_message_names_it_as_its_sender_does():
    file = MemoryFile(b"")
    assert file.unnamed(f"Image '{file.path}' is in {file.path}.", "a.png") == "Image 'a.png' is in a.png."
