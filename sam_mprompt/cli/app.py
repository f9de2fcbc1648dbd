"""The command line: thin commands that parse, call and print. Imports neither torch nor peft before a command runs."""

import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..allocator import keep_freed_memory
from ..errors import RunError, UsageError
from ..shown import shown
from ..version import __version__
from . import (
    ablate,
    calibrate,
    compare,
    count,
    describe,
    doctor,
    evaluate,
    export,
    finetune,
    masks,
    page,
    plan,
    pretrain,
    serve,
)
from .adapters import adapters
from .advice import advised
from .checkpoints import checkpoints
from .data import data
from .interrupts import signals_interrupt
from .memory import memory_fault
from .recipes import recipes
from .ui import never_fail_on_characters
from .warned import plain_warnings

# Typer has pydantic look at each flag that is not given and has no default, its own ones among them; importing pydantic
# for that takes longer than a list. So where a command needs it for nothing else, these flags get a default.
_OFF = {"help": False}
_LIST = {"list": _OFF, **_OFF}
_FLAGS = {"install_completion": False, "show_completion": False, "recipes": _LIST, "checkpoints": _LIST, **_OFF}


_LEFT_OUT = ("torch", "torchvision", "peft", "timm", "segment_anything", "safetensors", "scipy", "tomli_w")
"""What an installation for exported files alone does not have."""


class _Commands(TyperGroup):
    """All commands. Typer ends an interrupted one in silence; the user is told what was saved and how to go on."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            sys.exit(_failure(error, 130))


app = typer.Typer(
    name="sam-mprompt",
    cls=_Commands,
    help="Turn a frozen Segment-Anything encoder into a crowd counter: checkpoint + recipe -> adapter.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "default_map": _FLAGS},
)


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"sam-mprompt {__version__}\n")
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command(epilog=finetune.EXAMPLE)(finetune.finetune)
app.command(epilog=plan.EXAMPLE)(plan.plan)
app.command(epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command(epilog=count.EXAMPLE)(count.count)
app.command(epilog=calibrate.EXAMPLE)(calibrate.calibrate)
app.command(epilog=export.EXAMPLE)(export.export)
app.command(epilog=describe.EXAMPLE)(describe.describe)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(epilog=compare.EXAMPLE)(compare.compare)
app.command(epilog=masks.EXAMPLE)(masks.masks)
app.command(epilog=ablate.EXAMPLE)(ablate.ablate)
app.command(epilog=pretrain.EXAMPLE)(pretrain.pretrain)
app.command(epilog=serve.EXAMPLE)(serve.serve)
app.command(epilog=page.EXAMPLE)(page.ui)
app.add_typer(adapters, name="adapters")
app.add_typer(recipes, name="recipes")
app.add_typer(checkpoints, name="checkpoints")
app.add_typer(data, name="data")


def main() -> None:
    """Run the command line; exits with 0 done, 1 failed while working, 2 a wrong request, 130 interrupted."""
    # Read when torch is imported, which is later. By default threads spin while they wait for each other, and when
    # another process has one of the cores, they spin for all of its time slices (benchmarks/speed/busy_core.py).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    never_fail_on_characters()
    try:
        code = _run()
        if sys.stdout is not None:
            sys.stdout.flush()  # here, not when Python ends: a full disk or a closed pipe is told in one line
    except BrokenPipeError:  # the reader of stdout has gone (`| head`): in silence, as other commands, rich and click
        _forget_stdout()
        code = 1
    except OSError as error:  # what stdout is written to is full, or a disk failed where nobody expected it to
        _forget_stdout()
        code = _failure(_told(error), 1)
    sys.exit(code)


def _run() -> int | str | None:
    try:
        with plain_warnings(), signals_interrupt():
            app()
    except UsageError as error:
        return _failure(error, 2)
    except RunError as error:
        return _failure(error, 1)
    except KeyboardInterrupt as error:
        return _failure(error, 130)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LEFT_OUT:
            raise
        return _failure(_not_here(error), 2)
    except Exception as error:
        if not memory_fault(error):
            raise
        return _failure(RunError("The memory was not enough: expected smaller images, tiles or batches."), 1)
    return 0


def _not_here(error: ModuleNotFoundError) -> UsageError:
    return UsageError(
        f"This installation only counts with exported files, and what you ask for needs the package '{error.name}'. "
        "Install sam-mprompt whole."
    )


def _told(error: OSError) -> RunError:
    where = f"'{error.filename}'" if error.filename is not None else "the output"
    return RunError(f"Cannot read or write {where}: {error.strerror or error}.")


def _forget_stdout() -> None:
    """Point stdout elsewhere, so that what could not be written is not tried again, and fails again, at the end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failure(error: BaseException, code: int) -> int:
    line = f"sam-mprompt: {shown(advised(error), lines=True) or 'interrupted'}"
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - plain, also without rich
    return code
