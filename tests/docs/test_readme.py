import re

from docs_pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.splitlines()) <= 120


def test_there_are_exactly_two_set_up_commands():
    assert len(re.findall(r"^python3 -m venv", README, re.MULTILINE)) == 2


def test_its_two_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", README)
    assert len(pictures) == 2
    assert all((ROOT / picture).stat().st_size <= 150_000 for picture in pictures)
