"""What the tests of the documentation read off its pages."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IN_A_CHECKOUT = (ROOT / "mkdocs.yml").is_file()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"(?:^<!-- runs offline(, slow)?(?:: ([^\n]*))? -->\n)?^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_MARK = "<!-- runs offline"


@dataclass(frozen=True)
class Command:
    """One `sam-mprompt` command of a page.

    Attributes:
        page: the file's path below the checkout.
        words: behind the program's name.
        runs: whether the page says that it runs offline.
        slow: whether it takes longer than seconds.
        added: words that make it short enough for a test.
    """

    page: str
    words: tuple[str, ...]
    runs: bool
    slow: bool
    added: tuple[str, ...]


def commands(page: str, text: str) -> list[Command]:
    """Return the commands of a page's bash blocks in order, also those behind `&&` or a path to the program."""
    found = []
    for block in _BLOCK.finditer(text):
        slow, added, code = block.groups()
        marked = block[0].startswith(_MARK)
        for line in code.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line):
                words = shlex.split(part, comments=True)
                words = words[: words.index(">")] if ">" in words else words  # the shell's, not the command's
                start = next((at for at, word in enumerate(words) if re.fullmatch(r"(.*/)?sam[-_]mprompt", word)), None)
                if start is not None:
                    given = tuple(words[start + 1 :])
                    found.append(Command(page, given, marked, slow is not None, tuple((added or "").split())))
                elif marked and words:
                    raise ValueError(f"{page}: a block that runs holds sam-mprompt alone, got '{line}'")
    return found


def all_commands() -> list[Command]:
    """Return the commands of README and documentation, page by page."""
    return [
        command
        for page in PAGES
        for command in commands(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
    ]
