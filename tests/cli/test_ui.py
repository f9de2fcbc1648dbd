import io
import os
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from sam_mprompt.cli import ui
from sam_mprompt.cli.ui import print_table, progress, say, table

RECIPES = [sys.executable, "-m", "sam_mprompt", "recipes", "list"]


def test_cells_and_headings_hold_no_markup_and_no_control_characters(capsys):
    made = table("image", "[b]count", right=("count",))
    for name in ("street[copy].png", "a[/b].png", "\x1b[2J.png", "\u202egpj", "caf\udce9.jpg"):
        made.add_row(name, "1.0")
    print_table(made)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = ["image", "street[copy].png", "a[/b].png", "\\x1b[2J.png", "\\u202egpj", "caf\\xe9.jpg"]
    assert [line[0] for line in lines] == names
    assert lines[0][1] == "[b]count"


def test_a_piped_table_has_one_full_line_a_row(capsys):
    made = table("image", "count")
    made.add_row("d/" * 300 + "a.jpg", "12.0")
    print_table(made)
    assert capsys.readouterr().out.splitlines()[1].split() == ["d/" * 300 + "a.jpg", "12.0"]


def test_a_message_is_printed_as_it_is_and_its_control_characters_are_seen():
    console = Console(file=io.StringIO(), width=20)
    say(console, "a[/b].png is \x1b[31mred and longer than twenty characters")
    assert console.file.getvalue() == "a[/b].png is \\x1b[31mred and longer than twenty characters\n"


def test_a_result_is_printed_with_its_control_characters_seen(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli("compare", trained_run, trained_run, crowd_folder / "5.png", "--out", tmp_path / "\u202ex.png")
    assert done.code == 0, done.err
    assert done.out.endswith("\\u202ex.png\n")
    assert "\u202e" not in done.out


def test_beside_a_terminal_no_bar_leaves_an_empty_line_whatever_the_version_of_rich(monkeypatch):
    monkeypatch.setattr(Progress, "stop", lambda bar: bar.console.print())  # as of 13.7
    console = Console(file=io.StringIO())
    with progress("counting", 3, console=console) as report:
        report(3, 3)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:strict", "utf-8:strict"])
def test_characters_that_the_encoding_lacks_are_printed_with_a_backslash(encoding):
    code = (
        f"from {ui.__name__} import *; never_fail_on_characters(); t = table('x'); t.add_row('…人 é'); print_table(t)"
    )
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment)
    kept = {"latin-1": b"\\u2026\\u4eba \xe9", "ascii:strict": b"\\u2026\\u4eba \\xe9"}
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[1].rstrip() == kept.get(encoding, "…人 é".encode())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_stdout_ends_in_one_line_and_1():
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(RECIPES, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "sam-mprompt: Cannot read or write the output: No space left on device.\n"


def test_a_closed_pipe_ends_in_silence_and_1():
    with subprocess.Popen(RECIPES, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert said == ""


def test_the_line_of_a_failure_shows_control_characters(run_cli):
    done = run_cli("recipes", "show", "\x1b]0;x\x07[/b]\udce9")
    assert done.code == 2
    assert "\\x1b]0;x\\x07[/b]\\xe9" in done.err
    assert "\x1b" not in done.err
