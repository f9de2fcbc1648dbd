import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import benchmarks
from benchmarks.pages import PAGES, parser, table

COMMAND = re.compile(r"python -m (benchmarks(?:\.\w+)*+)(?!\.{)")
WRITTEN = [*PAGES.glob("*.md"), *PAGES.glob("*/*.py"), *PAGES.glob("*/*.toml")]


def test_a_table_has_a_line_for_its_head_its_rule_and_every_row():
    assert table(["", "b"], [["1", "2"], ["3", ""]]) == "|  | b |\n|---|---|\n| 1 | 2 |\n| 3 |  |"


def test_a_measurement_shows_its_docstring_as_it_stands(capsys):
    with pytest.raises(SystemExit, match="0"):
        parser("one\n\n    two\n").parse_args(["--help"])
    assert "one\n\n    two\n" in capsys.readouterr().out


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_every_command_that_a_page_or_a_measurement_names_can_be_run(path):
    for name in set(COMMAND.findall(path.read_text(encoding="utf-8"))):
        found = find_spec(name)
        assert found is not None
        if found.submodule_search_locations is not None:
            found = find_spec(f"{name}.__main__")
            assert found is not None
        assert '\nif __name__ == "__main__":\n' in Path(found.origin).read_text(encoding="utf-8")


def test_every_page_says_which_command_writes_it():
    for path in PAGES.glob("*.md"):
        named = COMMAND.findall(path.read_text(encoding="utf-8"))
        assert any(name.split(".")[-1] == path.stem for name in named) or path.stem == "speed"


def test_every_page_is_named_where_a_reader_of_the_package_looks():
    assert {path.name for path in PAGES.glob("*.md")} == set(re.findall(r"\w+\.md", benchmarks.__doc__))
