"""`doctor` prints what a bug report needs, and ends with 1 where something stops the main job."""

import getpass
import json
import platform
from pathlib import Path

import pytest

from sam_mprompt.doctor import examine, self_test
from sam_mprompt.doctor.report import Check, Problem, Section
from sam_mprompt.errors import RunError
from sam_mprompt.version import __version__

NOTE = Problem(RunError("Expected more room, got little.", about="full disk"), stops=False)
STOP = Problem(RunError("Expected memory, got none.", about="little memory"), stops=True)
PASSED = Check("keeping files", "passed", "a file", 0.25)
FAILED = Check("a training step", "failed", "ValueError: x", 2.0, ("sam_mprompt/a.py, line 3, in f",))


@pytest.fixture
def found(monkeypatch):
    """Let an examination find these problems, and self-tests end so."""

    def find(problems=(), checks=(PASSED,)):
        sections = [Section("Machine", {"cores": "2", "a [bold]name[/]": "x\x1b[2J"}, problems)]
        monkeypatch.setattr(examine, "examine", lambda _: iter(sections))
        monkeypatch.setattr(self_test, "self_tests", lambda _: iter(checks))

    return find


def test_a_report_is_plain_lines_on_stdout(run_cli, found):
    found([NOTE])
    done = run_cli("doctor")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert lines[:3] == ["Machine", "cores            2", "a [bold]name[/]  x\\x1b[2J"]
    assert any(line.split() == ["keeping", "files", "passed", "0.2", "a", "file"] for line in lines)
    assert lines[-2].startswith("note: Expected more room, got little. Make room there")
    assert lines[-1] == "Nothing is wrong that stops counting or training."


def test_what_stops_the_main_job_comes_first_and_ends_it_with_1(run_cli, found):
    found([NOTE, STOP])
    done = run_cli("doctor")
    assert done.code == 1
    assert [line.partition(":")[0] for line in done.out.splitlines()[-2:]] == ["WRONG", "note"]
    assert "Traceback" not in done.out + done.err


def test_a_self_test_that_fails_says_where_and_ends_it_with_1(run_cli, found):
    found(checks=[PASSED, FAILED])
    done = run_cli("doctor")
    assert done.code == 1
    assert "  sam_mprompt/a.py, line 3, in f" in done.out.splitlines()
    assert done.out.splitlines()[-1].startswith("WRONG: The self-test 'a training step' failed: ValueError: x")


def test_the_report_as_json(run_cli, found):
    found([STOP], [PASSED, FAILED])
    done = run_cli("doctor", "--json")
    told = json.loads(done.out)
    assert (done.code, told["sound"]) == (1, False)
    assert told["sections"]["Machine"]["cores"] == "2"
    assert told["self_tests"][0] == {
        "name": "keeping files", "outcome": "passed", "said": "a file", "seconds": 0.25, "trace": [],
    }  # fmt: skip
    assert [problem["stops"] for problem in told["problems"]] == [True, True]


def test_without_tests_none_is_tried_and_nobody_is_named(run_cli, monkeypatch):
    monkeypatch.setenv("SAM_MPROMPT_TOKEN", "a-secret")

    def tried(_):
        raise AssertionError("a self-test was tried")

    monkeypatch.setattr(self_test, "self_tests", tried)
    done = run_cli("doctor", "--no-test")
    assert done.code == 0, done.out
    assert f"sam-mprompt      {__version__}" in done.out
    assert "SAM_MPROMPT_TOKEN" in done.out
    for secret in ("a-secret", f"{Path.home()}/", f"/{getpass.getuser()}/", f" {platform.node()} "):
        assert secret not in done.out
    assert done.out.splitlines()[-1] == "Nothing wrong was seen."
