import os

import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.files import read_record


def test_an_object_comes_back_as_it_was_written(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, {"b": "é"}]}', encoding="utf-8")
    assert read_record(tmp_path / "a.json") == {"a": [1, {"b": "é"}]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"", "Expecting value"),
        (b"\xff{}", "can't decode"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"x": {"a": 1, "b": 2, "a": 3}}', "the key 'a' stands twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b'{"a": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"a": "\\ud800"}', "surrogates not allowed"),
        (b"[1]", "should hold a JSON object: got list"),
        (b" " * (2**24 + 1), "larger than 16,777,216 bytes"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_the_file(tmp_path, content, reason):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match=reason) as caught:
        read_record(tmp_path / "a.json", "Copy it again.")
    message = str(caught.value)
    assert "\n" not in message
    assert f"'{tmp_path / 'a.json'}'" in message
    assert message.endswith("Copy it again.")


def test_a_folder_a_pipe_and_nothing_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(UsageError, match="expected a file"):
            read_record(path)
