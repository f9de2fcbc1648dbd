import re

from docs_pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.splitlines()) <= 120


def test_there_are_exactly_two_set_up_commands():
    assert len(re.findall(r"^python3 -m venv", README, re.MULTILINE)) == 2


def test_there_is_one_picture_and_it_is_there():
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]*)\)", README)
    assert (ROOT / picture).is_file()
