"""The command line: every command with strange words, numbers, paths and overrides where it takes some."""

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import small
from .attempt import Attempt
from .dice import Dice
from .recipes import override
from .worker import Finding

IMPORTS = (
    "sam_mprompt.cli.app", "sam_mprompt.training.finetune", "sam_mprompt.counting.counter",
    "sam_mprompt.evaluation.evaluate",
    "sam_mprompt.evaluation.cost", "sam_mprompt.masks.sam", "sam_mprompt.ablation.perform",
    "sam_mprompt.ablation.compare",
    "sam_mprompt.pretraining.pretrain", "sam_mprompt.data.check", "sam_mprompt.cli.training_display",
)  # fmt: skip

# ADAPTER, RECIPE, PRETRAIN, DATA, PICTURE and BASE stand for files of `prepare`.
_LINES = (
    "count ADAPTER PICTURE", "count ADAPTER DATA --csv c.csv", "count ADAPTER DATA --json",
    "count ADAPTER PICTURE --overlay o",
    "count ADAPTER DATA --csv c.csv --resume-csv --batch-size 2 --precision bf16",
    "evaluate ADAPTER --data DATA --split train",
    "evaluate ADAPTER --data DATA --json e.json --localise --worst w --submission s.txt --locations l.txt",
    "describe RECIPE --size 64", "describe ADAPTER --json", "export ADAPTER --to x --dtype float16",
    "compare ADAPTER ADAPTER PICTURE --out c.png", "masks --source points --data DATA --out m --dilation 3",
    "masks --source sam --data DATA --out m --base BASE", "masks --source segmenter --run ADAPTER --data DATA --out m",
    "recipes list --json", "recipes show RECIPE --resolved", "recipes copy demo copy.toml", "adapters list",
    "adapters show ADAPTER --json", "adapters verify ADAPTER --base BASE", "checkpoints list --json",
    "checkpoints verify sam-tiny",
    "checkpoints pull sam-tiny", "data check DATA --preview p", "data check DATA --json --format points --label head",
    "data synthesize d --train 1 --val 1 --test 1 --seed 3 --noise 0.1 --sheet s.png",
)  # fmt: skip
_TRAININGS = (
    "finetune --recipe RECIPE --data DATA --out run",
    "ablate --recipe RECIPE --data DATA --rows ROWS --out runs --seeds 1",
    "pretrain --recipe PRETRAIN --out run",
)  # fmt: skip
_CODES = {0: "read", 1: "refused", 2: "refused"}
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def prepare(folder: Path) -> None:
    """Write a base, a recipe, an adapter, a dataset, and what else stands where a file is expected."""
    import numpy as np
    from PIL import Image

    small.write_base(folder)
    small.write_recipe(folder)
    small.write_adapter(folder)
    data = folder / "data"
    data.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 255, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(noise).save(data / f"{number}.png")
        (data / f"{number}.txt").write_text("30 40\n50 20\n")
    (data / "test.txt").write_text("3.png\n")
    (folder / "rows.toml").write_text('title = "a"\n[[rows]]\nlabel = "a"\n')
    (folder / "pretrain.toml").write_text(
        "[encoder]\nembed_dim = 16\ndepth = 2\nnum_heads = 2\nglobal_attn_indexes = [1]\nout_channels = 8\n"
        "window_size = 2\n"
        "grid = 8\nspan = 4\n[scenes]\nsize = 64\nwhole_every = 2\nval = 1\n[task]\nprompts = 4\nembedding = 4\n"
        "[train]\nsteps = 2\nscenes = 1\nworkers = 0\n"
    )


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make a command line that differs from a good one in one to three places."""
    training = dice.chance(0.06)
    words = dice.pick(_TRAININGS if training else _LINES).split()
    known = {
        "ADAPTER": "adapter", "RECIPE": "tiny.toml", "PRETRAIN": "pretrain.toml", "DATA": "data",
        "PICTURE": "data/0.png",
        "BASE": "base.safetensors", "ROWS": "rows.toml",
    }  # fmt: skip
    words = [str(shared / known[word]) if word in known else word for word in words]
    begin = 2 if words[0] in ("recipes", "adapters", "checkpoints", "data") else 1
    for _ in range(dice.choice((1, 1, 2, 3))):
        _change(dice, words, begin, shared)
    _clutter(folder, shared)
    return Attempt(" ".join(words)[:600].encode("unicode_escape").decode(), lambda: _run(words))


def _change(dice: Dice, words: list[str], begin: int, shared: Path) -> None:
    kind = dice.randrange(10)
    place = dice.randrange(begin, len(words)) if len(words) > begin else begin
    if kind <= 3 and begin < len(words):
        words[place] = _odd(dice, words[place], shared)
    elif kind == 4:
        words.insert(place, _odd(dice, "", shared))
    elif kind == 5 and begin < len(words):
        del words[place]
    elif kind == 6 and words[0] in ("finetune", "describe", "recipes", "pretrain", "ablate"):
        words += ["--set", override(dice, words[0] == "pretrain")]
    else:
        options = _options(words[:begin])
        option = dice.pick([*options, "--json", "--nowhere"])
        words += [option] if dice.chance(0.2) else [option, _odd(dice, "", shared)]


def _odd(dice: Dice, word: str, shared: Path) -> str:
    """Return what stands where a path, a name or a number is expected; nothing that asks for much work in earnest."""
    if word.isdecimal() or dice.chance(0.2):
        return dice.pick(
            ("0", "-1", "1", "2", "3", "1.5", "x", "", "9" * 5000, "１", "1e3", "nan", "inf", str(2**63), "0x1", "-0")
        )
    if dice.chance(0.6):
        return dice.pick(
            (
                "file", "folder", "empty", "loop", "dangling", "fifo", "file/below", "/dev/null", "/dev/full",
                "/proc/self/mem", "/dev/zero",
                "\0", "", "a" * 300, "a/" * 3000, "\udcff", "-", "~", "*", "[", "**/*.png", "a[/b].png", "$x.png",
                "/nowhere/x", "..",
                "\x1b[31m.png", "=1+1.png", "\u202ex.png", "broken.png", "x.csv", "x.toml", "x.json", "x.png",
                str(shared / "data"), str(shared / "adapter"), str(shared / "tiny.toml"),
                    str(shared / "base.safetensors"),
            )
        )  # fmt: skip
    return dice.pick(
        (
            "cpu",
            "cuda",
            "cuda:9",
            "mps",
            "meta",
            "gpu",
            "0",
            "cpu:1",
            "boxes",
            "sam",
            "test",
            "demo",
            "shb",
            dice.word(),
        )
    )


def _clutter(folder: Path, shared: Path) -> None:
    """Put things into the folder that commands are run in."""
    (folder / "file").write_text("text")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "folder").mkdir()
    (folder / "folder" / "x").touch()
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    with contextlib.suppress(OSError):
        os.mkfifo(folder / "fifo")
    for name in ("a[b].png", "\x1b[31m.png", "=1+1.png", "\u202ex.png"):
        shutil.copyfile(shared / "data" / "0.png", folder / name)


def _options(command: list[str]) -> list[str]:
    import typer

    from sam_mprompt.cli.app import app

    found: Any = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]
    options = [option for parameter in found.params for option in parameter.opts if option.startswith("-")]
    return [option for option in options if option != "--compile"]  # a compiler takes its time


@contextlib.contextmanager
def _reading(pipe: Path) -> Iterator[None]:
    """Read from a pipe, which whoever writes to it waits for as any program does."""
    if not pipe.is_fifo():
        yield
        return
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield
    finally:
        os.close(end)


def _run(words: list[str]) -> None:
    from sam_mprompt.cli.app import main
    from sam_mprompt.errors import RunError, UsageError

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before, sys.argv = sys.argv, ["sam-mprompt", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _reading(Path("fifo")):
            main()
        code: Any = 0
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = before
    said, told = (
        stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err) if stream.flush() is None
    )
    if code not in _CODES:
        raise Finding(f"exit code {code}: {told[-500:]}")
    if "Traceback (most recent" in told:
        raise Finding(f"a traceback was printed: {told[-3000:]}")
    if (found := _CONTROLS.search(said) or _CONTROLS.search(told)) and "Usage: " not in told:
        raise Finding(f"the control character {found[0]!a} reached the terminal: {(said + told)[-500:]!a}")
    if code and not told.strip():
        raise Finding(f"exit code {code} without a word; stdout: {said[-300:]}")
    if _CODES[code] == "refused":
        raise (UsageError if code == 2 else RunError)(told[-1500:])
