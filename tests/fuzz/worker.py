"""Runs inputs one after the other in a process of its own and tells its parent what came of each, a line of JSON."""

import contextlib
import faulthandler
import importlib
import io
import json
import os
import resource
import shutil
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from .attempt import Attempt
from .dice import Dice

_ROOM = 3 << 30
"""Bytes that an input may ask for beyond what the process has: more is refused by the system, and found."""

_LONGEST_MESSAGE = 20_000
_OUT_OF_MEMORY = ("memory was not enough", "allocate memory", "Insufficient memory")


class Finding(Exception):  # noqa: N818 - what an attempt raises by itself where no error is the fault
    """An input that was taken and should not have been, or was told of in a way that harms."""


def main(family: str, seed: str, numbers: str, work: str, stuck_after: str) -> None:
    """Run the inputs of these numbers, separated by commas, in folders below `work`."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module = prepared(family, Path(work))
    for number in map(int, numbers.split(",")):
        attempt = made(module, family, seed, number, Path(work))
        _tell(told, number=number, what=attempt.what)
        faulthandler.dump_traceback_later(float(stuck_after), file=sys.stderr)
        outcome = met(attempt, Path(work))
        faulthandler.cancel_dump_traceback_later()
        _tell(told, number=number, what=attempt.what, **outcome)
        sys.stdin.readline()  # the parent keeps what it found, then lets us go on


def prepared(family: str, work: Path) -> Any:
    """Return a family's module; what its inputs share is made, and what takes long to import is imported."""
    module: Any = importlib.import_module(f".{family}", __package__)
    for name in module.IMPORTS:
        importlib.import_module(name)
    shared = work / "shared"
    if not shared.is_dir():
        shared.mkdir(parents=True)  # what is made may hold its own path
        try:
            module.prepare(shared)
        except BaseException:
            shutil.rmtree(shared)
            raise
    return module


def made(module: Any, family: str, seed: object, number: int, work: Path) -> Attempt:
    """Make an input in a folder of its own."""
    folder = work / "input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with contextlib.chdir(folder):
        try:
            attempt: Attempt = module.make(Dice(f"{family} {seed} {number}"), folder, work / "shared")
        except Exception:
            return Attempt("what could not be made", partial(_raised, traceback.format_exc()))
    return attempt


def _raised(trace: str) -> None:
    raise Finding(f"the family's own fault: {trace}")


def _tell(told: Any, **line: Any) -> None:
    told.write(json.dumps(line) + "\n")
    told.flush()


def met(attempt: Attempt, work: Path) -> dict[str, Any]:
    """Run an attempt in its folder and tell what came of it."""
    from sam_mprompt.errors import SamMpromptError

    before, started, busy = resident(), time.monotonic(), time.process_time()
    kind, detail = "read", ""
    with limited(), contextlib.chdir(work / "input"), warnings.catch_warnings(), quiet(), offline(work):
        warnings.simplefilter("ignore")
        try:
            attempt.run()
        except SamMpromptError as error:
            kind, detail = kind_of_refusal(str(error)), str(error)
        except MemoryError:
            kind, detail = "memory", traceback.format_exc()
        except BaseException:
            kind, detail = "traceback", traceback.format_exc()
    if kind == "long":
        detail = f"a message of {len(detail)} characters: {detail[:500]}"
    grown = max(0, _peak() - before)
    return {
        "kind": kind,
        "detail": detail[-4000:],
        "seconds": time.monotonic() - started,
        "busy": time.process_time() - busy,
        "grown": grown,
    }


def kind_of_refusal(message: str) -> str:
    """Return "refused", or what is wrong with it: "memory" that was asked for, or a "long" message."""
    if any(sign in message for sign in _OUT_OF_MEMORY):
        return "memory"
    return "long" if len(message) > _LONGEST_MESSAGE else "refused"


@contextlib.contextmanager
def quiet() -> Any:
    """Let nothing through that libraries print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def offline(work: Path) -> Any:
    """Reach no network, and nothing in the user's own folders."""
    folders = {"SAM_MPROMPT_CHECKPOINTS": str(work / "checkpoints"), "HOME": str(work), "HF_HUB_OFFLINE": "1"}
    refused = OSError("there is no network here")
    with patch.dict(os.environ, folders), patch("socket.socket.connect", side_effect=refused):
        yield


@contextlib.contextmanager
def limited() -> Any:
    """Let the system refuse memory beyond `_ROOM`, where it can tell what the process has."""
    found = _status("VmData")
    if not found:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (found + _ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _peak() -> int:
    """Return the most memory that the process ever held, in bytes."""
    if own := _status("VmHWM"):  # what getrusage tells is at least the peak of the process that started this one
        return own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident() -> int:
    """Return the memory that the process holds, in bytes."""
    return _status("VmRSS") or _peak()


def _status(key: str) -> int:
    """Return a figure of the process in bytes; 0 where the system does not tell."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
        for line in file:
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
