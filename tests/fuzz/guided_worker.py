"""The process that `guided` starts: one parser under atheris, which goes on from inputs that reach new code."""

import contextlib
import hashlib
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import atheris

from .dice import Dice
from .worker import kind_of_refusal, limited, offline, quiet, resident

_OWN = "sam_mprompt"
_FRAMES_TOLD_APART = 4


def main(name: str, keep: str, work: str, *arguments: str) -> None:
    """Fuzz a parser; what is found is written to `keep`, and `arguments` are libFuzzer's."""
    with atheris.instrument_imports(include=[_OWN]):
        from .parser import corpus_of
        from .parsers import parsers

        parser = parsers()[name]
        # Much is imported by the first call that needs it, and only what is imported here is watched.
        for seed in corpus_of(name):
            with contextlib.suppress(Exception), quiet(), offline(Path(work)):
                parser.read(parser.fresh(Path(work) / "input", seed.read_bytes(), seed.suffix))
    folder = Path(work) / "input"
    parser.fresh(folder, b"", parser.suffixes[0]).unlink()
    known: set[str] = set()

    def meet(content: bytes) -> None:
        for suffix in parser.suffixes:
            path = parser.place(folder, content, suffix)
            kind, detail = _outcome(parser.read, path)
            path.unlink(missing_ok=True)
            if kind and (fault := _told_apart(detail)) not in known:
                known.add(fault)
                _keep(Path(keep), name, content, suffix, f"{kind}\n{detail}")

    memory = resident() // 2**20 + 2048
    own = [sys.argv[0], f"-rss_limit_mb={memory}", *arguments]
    atheris.Setup(own, meet, custom_mutator=_mutated)
    with limited(), contextlib.chdir(folder), warnings.catch_warnings(), quiet(), offline(Path(work)), _no_threads():
        warnings.simplefilter("ignore")
        atheris.Fuzz()


class _OneAfterTheOther:
    """Stands for a pool of threads, whose start takes longer than reading a small file."""

    def __init__(self, _threads: int) -> None: ...

    def __enter__(self) -> "_OneAfterTheOther":
        return self

    def __exit__(self, *_error: object) -> None: ...

    map = staticmethod(map)


def _no_threads() -> Any:
    return patch("sam_mprompt.data.formats.entries.ThreadPoolExecutor", _OneAfterTheOther)


def _outcome(read: Any, path: Path) -> tuple[str, str]:
    """Return the kind of a finding and its detail; an empty kind for what is read, or refused in a line."""
    from sam_mprompt.errors import SamMpromptError

    try:
        read(path)
    except SamMpromptError as error:
        kind = kind_of_refusal(str(error))
        return ("", "") if kind == "refused" else (kind, traceback.format_exc())
    except MemoryError:
        return "memory", traceback.format_exc()
    except (Exception, SystemExit):
        return "traceback", traceback.format_exc()
    return "", ""


def _told_apart(detail: str) -> str:
    """Return where a traceback ended: inputs that end there are one finding."""
    places = [line for line in detail.splitlines() if line.lstrip().startswith("File ")]
    return "\n".join(places[-_FRAMES_TOLD_APART:])


def _keep(keep: Path, name: str, content: bytes, suffix: str, told: str) -> None:
    digest = hashlib.sha256(content).hexdigest()[:12]
    path = keep / f"{name.replace('/', '-')}-{digest}{suffix}"
    path.write_bytes(content)
    path.with_name(f"{path.name}.why").write_text(told, encoding="utf-8", errors="backslashreplace")


def _mutated(content: bytes, most: int, seed: int) -> bytes:
    """Change bytes as libFuzzer does, or as our own fuzzers do: a tree of JSON, lines and words, numbers in headers."""
    dice = Dice(seed)
    return bytes(atheris.Mutate(content, most)) if dice.chance(0.5) else dice.content(content)[:most]


if __name__ == "__main__":
    main(*sys.argv[1:])
