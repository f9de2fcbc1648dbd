import os
import re
import subprocess
import sys

import pytest

from sam_mprompt.cli.app import app
from sam_mprompt.version import __version__

COMMANDS = [
    ["finetune"],
    ["plan"],
    ["evaluate"],
    ["count"],
    ["export"],
    ["describe"],
    ["doctor"],
    ["masks"],
    ["ablate"],
    ["calibrate"],
    ["compare"],
    ["pretrain"],
    ["serve"],
    ["ui"],
    *(["adapters", name] for name in ("list", "push", "show", "verify")),
    *(["recipes", name] for name in ("list", "show", "copy")),
    *(["checkpoints", name] for name in ("list", "pull", "verify")),
    ["data", "check"],
    ["data", "convert"],
    ["data", "synthesize"],
    ["data", "unpack"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_commands_help_has_an_example(run_cli, command):
    shown = run_cli(*command, "--help")
    assert shown.code == 0
    assert f"sam-mprompt {' '.join(command)}" in re.sub(r"\s+", " ", shown.out).split("Example")[1]


def test_no_command_is_missing_from_the_test_above():
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    names = [[info.callback.__name__] for info in app.registered_commands]
    names += [[group, info.name] for group, sub in groups.items() for info in sub.registered_commands]
    assert sorted(names) == sorted(COMMANDS)


def imported(command):
    """Return which heavy packages a command imported, and its exit code."""
    code = (
        "import atexit, sys; from sam_mprompt.cli.app import main;"
        "atexit.register(lambda: print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules]));"
        "sys.argv[0] = 'sam-mprompt'; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[-1], done.returncode


@pytest.mark.parametrize("command", ["--help", "--version", "recipes list", "checkpoints list"])
def test_help_and_lists_wait_for_no_heavy_import(command):
    assert imported(command) == ("[]", 0)


def test_the_version_is_told_in_a_line(run_cli):
    shown = run_cli("--version")
    assert (shown.code, shown.out) == (0, f"sam-mprompt {__version__}\n")


@pytest.mark.parametrize("fault", ["nwpuu", "nwpu --set train.epoch=1"])
def test_a_faulty_recipe_is_told_before_torch_is_imported(fault):
    assert imported(f"finetune --recipe {fault}") == ("['pydantic']", 2)


@pytest.mark.skipif(sys.platform != "linux", reason="asks libgomp")
@pytest.mark.slow
@pytest.mark.parametrize(("asked", "spins"), [(None, False), ("ACTIVE", True)])
def test_threads_do_not_spin_while_they_wait_unless_the_user_says_so(asked, spins):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE"} | ({} if asked is None else {"OMP_WAIT_POLICY": asked})
    command = [sys.executable, "-m", "sam_mprompt", "adapters", "verify", "no-such-adapter"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stderr
    [count] = re.findall("GOMP_SPINCOUNT = '(.*)'", told)
    assert (count != "0") == spins


def test_a_command_keeps_freed_memory_for_the_next_layer(monkeypatch, run_cli):
    asked = []
    monkeypatch.setattr("sam_mprompt.cli.app.keep_freed_memory", lambda: asked.append(True))
    assert run_cli("--version").code == 0
    assert asked == [True]


WRONG = {
    "an unknown recipe": (["finetune", "--recipe", "nwpuu"], "Did you mean 'nwpu'"),
    "an unknown key": (["finetune", "--recipe", "shb", "--set", "train.epoch=3"], "Did you mean 'epochs'"),
    "a wrong type": (["finetune", "--recipe", "shb", "--set", "train.epochs=many"], "expected a valid integer"),
    "a missing dataset": (["finetune", "--recipe", "shb"], "SAM_MPROMPT_DATA"),
    "a missing adapter": (["count", "nobody", "x.jpg"], "No "),
    "a missing checkpoint": (["checkpoints", "verify", "sam_vit_x"], "Did you mean"),
    "nothing to resume": (["finetune", "--recipe", "demo", "--resume"], "Nothing to resume"),
    "an unknown command": (["finetun"], "No such command"),
    "a missing option": (["evaluate", "adapters/demo"], "Missing option"),
    "a training without recipe and data": (["finetune"], "Expected --recipe NAME, or --data DIR"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_exits_with_2_and_says_what_to_do(run_cli, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    arguments, message = WRONG[case]
    done = run_cli(*arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_too_little_memory_is_told_in_a_line(run_cli, monkeypatch, error):
    def fails():
        raise error

    monkeypatch.setattr("sam_mprompt.cli.app.app", fails)
    ended = run_cli("describe", "demo")
    assert ended.code == 1
    assert ended.err == "sam-mprompt: The memory was not enough: expected smaller images, tiles or batches.\n"


LONG = "a" * 300


@pytest.mark.parametrize(
    "command",
    [
        ["count", "demo", LONG],
        ["describe", LONG],
        ["data", "check", LONG],
        ["adapters", "verify", "demo", "--base", LONG],
        ["adapters", "verify", "demo", "--base", "~nobody-of-that-name"],
        ["finetune", "--recipe", "shb", "--data", LONG],
    ],
    ids=" ".join,
)
def test_a_name_that_no_file_can_have_is_a_wrong_request(run_cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    ended = run_cli(*command)
    assert ended.code == 2
    assert ended.err.startswith("sam-mprompt: ")
    assert ended.err.count("\n") == 1
