"""Two names that change places."""

import sys

import pytest

from sam_mprompt.files.exchange import exchange

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such call")


def test_two_folders_change_places_with_what_they_hold(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "a" / "text").read_text() == "b"
    assert (tmp_path / "b" / "text").read_text() == "a"


def test_where_one_is_missing_nothing_changes(tmp_path):
    (tmp_path / "a").mkdir()
    assert not exchange(tmp_path / "a", tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_system_that_cannot_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sam_mprompt.files.exchange._call", lambda: None)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert not exchange(tmp_path / "a", tmp_path / "b")
