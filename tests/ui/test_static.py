"""The page's own files: no build, nothing from elsewhere, each module small, and whole as JavaScript."""

import re
import shutil
import subprocess

import pytest

from sam_mprompt.ui.app import STATIC

FILES = sorted(STATIC.iterdir())
MODULES = [path for path in FILES if path.suffix == ".js"]


def test_nothing_is_fetched_from_elsewhere():
    for path in FILES:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.|eval\(|innerHTML|document\.write", text), path.name


def test_no_module_is_longer_than_a_reader_can_hold():
    assert {path.name: n for path in FILES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 250} == {}


def test_every_module_that_is_imported_and_every_element_that_is_named_is_there():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    names = {path.name for path in FILES}
    text = "".join(path.read_text(encoding="utf-8") for path in MODULES)
    assert {
        name for pair in re.findall(r'from "\./([\w.]+)"|import "\./([\w.]+)"', text) for name in pair if name
    } <= names
    assert set(re.findall(r"/static/([\w.]+)", page)) <= names
    elements = set(re.findall(r'\bid="([\w-]+)"', page)) | set(re.findall(r'\bid: "([\w-]+)"', text))
    assert set(re.findall(r'\$\("([\w-]+)"\)', text)) <= elements


def test_no_script_stands_in_the_page_itself():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    assert not re.search(r"\son[a-z]+=|\sstyle=|<style", page)


def test_every_module_is_javascript():
    node = shutil.which("node") or pytest.skip("there is no node; Chromium loads them in the slow tests")
    for path in MODULES:
        checked = subprocess.run([node, "--check", str(path)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
