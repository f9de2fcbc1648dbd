"""How foreign text (names of files, keys, records) is shown: on a terminal and in a spreadsheet it commands nothing."""

import csv
import io
import re
from collections.abc import Iterable

# C0 and C1 controls (ESC, OSC, BEL ...), line separators, what turns the direction of writing, marks that nothing is
# seen of, and surrogates: halves of characters, or bytes of a file name that are not UTF-8.
_COMMANDS = "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
_IN_LINES = re.compile(f"[{_COMMANDS}]")
_IN_A_LINE = re.compile(f"[\n{_COMMANDS}]")
_BYTES = range(0xDC80, 0xDD00)
"""What `os.fsdecode` makes of bytes that are not UTF-8."""

_FORMULA = tuple("=+-@\t\r＝＋－＠")


def shown(text: object, *, lines: bool = False) -> str:
    r"""Return text as it can be printed: what would act instead of being seen is written with a backslash (`\x1b`).

    Printable characters of every script stay, and so do backslashes. A byte of a file name that is not UTF-8 is shown
    as `\xff`, a lone surrogate as `\ud800`.

    Args:
        text: a string, or what `str` makes one of.
        lines: keep the ends of lines, as in a message of several lines.
    """
    return (_IN_LINES if lines else _IN_A_LINE).sub(_escaped, str(text))


def cut(text: str, most: int) -> str:
    """Return text, or as much of its beginning as fits into `most` characters with three dots behind it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def csv_line(cells: Iterable[object]) -> str:
    """Return one row of a csv file, with the end of the line: see `csv_cell`."""
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([csv_cell(cell) for cell in cells])
    return row.getvalue()


def csv_cell(value: object) -> str:
    """Return a cell of a csv file that a spreadsheet shows as text, or as the number that it is.

    Text that a spreadsheet would take for a formula (it begins with = + - @, a tab, or their wide forms) gets an
    apostrophe in front, which says "text" there; numbers stay as they are, None is empty, the rest is as `shown`.
    Source: OWASP, "CSV Injection".
    """
    text = "" if value is None else str(value)
    if text.lstrip().startswith(_FORMULA) and not is_number(text):
        text = f"'{text}"
    return shown(text)


def is_number(text: str) -> bool:
    """Whether a spreadsheet's cell is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    if ord(character) in _BYTES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
