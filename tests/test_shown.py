import csv
import io
import os

import pytest

from sam_mprompt.shown import csv_cell, csv_line, cut, shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\ud800", "\\ud800"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
        ("\x7f\x00\u2028", "\\x7f\\x00\\u2028"),
    ],
)
def test_what_would_act_is_seen_instead(text, seen):
    assert shown(text) == seen


@pytest.mark.parametrize("text", ["Zürich 人群 مرحبا 👩‍🚀 [bold] a\\b", "क्‍ष", "\u3000"])
def test_printable_text_of_every_script_stays(text):
    assert shown(text) == text


def test_ends_of_lines_stay_only_where_lines_are_meant():
    assert shown("a\n\x1bb", lines=True) == "a\n\\x1bb"
    assert shown("a\nb") == "a\\nb"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-a", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "+1-555"])
def test_a_cell_that_a_spreadsheet_would_calculate_is_text(text):
    assert csv_cell(text) == "'" + shown(text)


@pytest.mark.parametrize("value", [-1.5, "-1.5", "+3", "1e5", 0, "street.jpg", "a=b", "'=1", ""])
def test_numbers_and_other_text_stay_as_they_are(value):
    assert csv_cell(value) == str(value)


def test_a_line_of_csv_reads_back_cell_by_cell():
    assert list(csv.reader(io.StringIO(csv_line(["a,\"b'", None, -2.5, "x\ny"])))) == [["a,\"b'", "", "-2.5", "x\\ny"]]


@pytest.mark.parametrize(("text", "expected"), [("abcde", "abcde"), ("abcdef", "ab..."), ("", "")])
def test_a_text_is_cut_where_it_is_longer_than_there_is_room_for(text, expected):
    assert cut(text, 5) == expected
