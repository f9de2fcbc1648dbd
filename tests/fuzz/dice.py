"""What all families throw: chances, damaged bytes, strange words, strange trees of JSON."""

import copy
import json
import random
from collections.abc import Callable, MutableMapping, MutableSequence
from contextlib import suppress
from typing import Any

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)

WORDS = (
    "", " ", "\n", "\0", "\x1b[31mred", "\u202eevil", "\ufeff", "\ud800", "[bold]x[/b]", "[/]", "=1+1", "../../x",
    "/", ".",
    "..", "~", "~nobody", "a/b", "a" * 300, "ä" * 130, "NaN", "nan", "inf", "-inf", "1e999", "-1", "0", "1.5", "true",
    "null", "None", "0x10", "9" * 5000, "[" * 3000, "{" * 3000, "'", '"', '"""', "\\", "%s", "{0}", "{x}", "$HOME", "*",
    "**", "(((a+)+)+)+X", "-", "--", "--help", "\u0661\u0662", "１２", "1_000", "+5", "1,5", "2147483648", "4294967296",
    "18446744073709551616", "1e300", "\r\n", "con", "train", "person", "head", "a.jpg", "hf:a/b", "random:tiny@1",
    "random:x", "random:tiny@-1", "file:///etc/passwd", "\udcff.jpg",
)  # fmt: skip
"""Texts that were once read for something else than text."""

NUMBERS = (
    0, 1, -1, 2, 3, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.0, -0.0,
    0.5, 1e-320, 1e-9, 1e9, 1e30, 1e300, -1e300, float("inf"), float("-inf"), float("nan"), True, False,
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, [], {}, [[]], [None], [[1, 2, 3]], [[1], [2, 3]], {"": ""}, {"a": {"b": []}}, [[[[[]]]]], ["a"], [1], [1, 2],
    [[1, 2]], [[1.0, float("nan")]], [[1e300, 1e300]], [-1, -1, -1, -1], [[0, 0, 0, 0]], [True, False],
)  # fmt: skip


class Dice(random.Random):
    """Chances that depend on a text alone, on every machine and in every version of Python."""

    def chance(self, share: float) -> bool:
        """Return True in this share of throws."""
        return self.random() < share

    def pick(self, choices: Any) -> Any:
        """Return one of several."""
        return self.choice(list(choices))

    def word(self) -> str:
        """Return a strange text."""
        return self.pick(WORDS) if self.chance(0.9) else "".join(chr(self.randrange(32, 0x2FFF)) for _ in range(9))

    def value(self) -> Any:
        """Return a strange value of JSON."""
        return self.pick((self.word, lambda: self.pick(NUMBERS), lambda: copy.deepcopy(self.pick(VALUES))))()

    def damaged(self, data: bytes) -> bytes:
        """Return bytes with up to eight faults: cut, turned, repeated, left out, other numbers, others' bytes."""
        changed = bytearray(data)
        for _ in range(self.choice((1, 1, 1, 2, 4, 8))):
            self.choice(_FAULTS)(self, changed)
        return bytes(changed)

    def tree(self, content: Any) -> Any:
        """Return a copy of a value of JSON with up to four nodes changed, left out, repeated, renamed or nested."""
        root = [copy.deepcopy(content)]
        for _ in range(self.choice((1, 1, 2, 4))):
            self._change(root)
        return root[0]

    def json(self, content: Any) -> bytes:
        """Return JSON of a value: as it is, its tree changed, its bytes damaged, or wrapped otherwise."""
        made = self.tree(content) if self.chance(0.7) else content
        text = json.dumps(made, ensure_ascii=self.chance(0.5))
        if self.chance(0.1):
            text = self.pick(
                (f"\ufeff{text}", f"[{text}]", f"{text}\n{text}", text * 2, "[" * 5000 + text, f"//\n{text}")
            )
        data = text.encode("utf-8", "surrogatepass") if self.chance(0.9) else text.encode("utf-16", "surrogatepass")
        return self.damaged(data) if self.chance(0.3) else data

    def lines(self, text: str) -> bytes:
        """Return text whose lines and words are changed, repeated, left out or damaged."""
        rows = text.splitlines(keepends=True) or [""]
        for _ in range(self.choice((0, 1, 1, 2, 4))):
            place = self.randrange(len(rows))
            self.choice(_ROW_FAULTS)(self, rows, place)
            rows = rows or [""]
        coding = self.pick(("utf-8",) * 8 + ("utf-16", "latin-1", "utf-8-sig"))
        data = "".join(rows).encode(coding, "replace" if coding == "latin-1" else "surrogatepass")
        return self.damaged(data) if self.chance(0.3) else data

    def content(self, content: bytes) -> bytes:
        """Return a file's content changed as what it seems to be: JSON, other text, or bytes."""
        with suppress(ValueError, RecursionError):
            text = content.decode()
            return self.json(json.loads(text)) if text[:1] in ("{", "[") else self.lines(text)
        return self.damaged(content)

    def _change(self, root: list[Any]) -> None:
        """Change one node below the only item of `root`."""
        nodes: list[tuple[Any, Any]] = []
        stack: list[Any] = [root]
        while stack and len(nodes) < 500:
            inner = stack.pop()
            for key in inner if isinstance(inner, MutableMapping) else range(len(inner)):
                nodes.append((inner, key))
                if isinstance(inner[key], dict | list):
                    stack.append(inner[key])
        inner, key = self.choice(nodes)
        kind = self.randrange(6)
        if kind == 0 and inner is not root:
            del inner[key]
        elif kind == 1 and isinstance(inner, MutableMapping):
            inner[self.word()] = inner.pop(key)
        elif kind == 1 and isinstance(inner, MutableSequence) and inner is not root:
            inner.extend([inner[key]] * self.choice((1, 2, 50)))
        elif kind == 2:
            inner[key] = [inner[key]] if self.chance(0.5) else {"x": inner[key]}
        elif kind == 3 and isinstance(inner[key], int | float):
            inner[key] = self.pick(NUMBERS)
        elif kind == 3 and isinstance(inner[key], str):
            inner[key] = self.word()
        else:
            inner[key] = self.value()


def _flip(dice: Dice, data: bytearray) -> None:
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _set(dice: Dice, data: bytearray) -> None:
    if data:
        data[dice.randrange(len(data))] = dice.choice((0, 255, 0x7F, 0x80, dice.randrange(256)))


def _early(dice: Dice, data: bytearray) -> None:
    """Change a byte of the first hundred, where headers are."""
    if data:
        data[dice.randrange(min(len(data), 100))] = dice.randrange(256)


def _number(dice: Dice, data: bytearray) -> None:
    size = dice.choice((1, 2, 4, 8))
    if len(data) >= size:
        place = dice.randrange(min(len(data), 400 if dice.chance(0.7) else len(data)) - size + 1)
        number = dice.choice(_EDGES) % 256**size
        data[place : place + size] = number.to_bytes(size, dice.choice(("little", "big")))


def _cut(dice: Dice, data: bytearray) -> None:
    del data[dice.randrange(len(data) + 1) :]


def _leave_out(dice: Dice, data: bytearray) -> None:
    place = dice.randrange(len(data) + 1)
    del data[place : place + dice.choice((1, 2, 16, 200))]


def _repeat(dice: Dice, data: bytearray) -> None:
    place = dice.randrange(len(data) + 1)
    data[place:place] = data[place : place + dice.choice((1, 4, 64, 1000))] * dice.choice((1, 2, 10))


def _insert(dice: Dice, data: bytearray) -> None:
    place = dice.randrange(len(data) + 1)
    word = dice.word().encode("utf-8", "surrogatepass") if dice.chance(0.5) else dice.randbytes(dice.choice((1, 8, 99)))
    data[place:place] = word


_FAULTS: tuple[Callable[[Dice, bytearray], None], ...] = (
    _flip, _flip, _set, _early, _early, _number, _number, _number, _cut, _leave_out, _repeat, _insert,
)  # fmt: skip


def _change_word(dice: Dice, rows: list[str], place: int) -> None:
    words = rows[place].split(" ") if " " in rows[place] else rows[place].split(",")
    mark = " " if " " in rows[place] else ","
    number = str(dice.pick(NUMBERS[:10] + NUMBERS[11:16] + NUMBERS[17:])) if dice.chance(0.5) else dice.word()
    words[dice.randrange(len(words))] = number
    rows[place] = mark.join(words)


def _change_value(dice: Dice, rows: list[str], place: int) -> None:
    key, equals, _ = rows[place].partition("=")
    if equals:
        rows[place] = f"{key}={dice.word()}\n" if dice.chance(0.5) else f"{key}= {json.dumps(dice.value())}\n"


def _drop(_dice: Dice, rows: list[str], place: int) -> None:
    del rows[place]


def _double(dice: Dice, rows: list[str], place: int) -> None:
    rows[place:place] = [rows[place]] * dice.choice((1, 1, 2, 100))


def _move(dice: Dice, rows: list[str], place: int) -> None:
    rows.insert(dice.randrange(len(rows)), rows.pop(place))


def _strange_row(dice: Dice, rows: list[str], place: int) -> None:
    rows.insert(place, dice.word() + dice.pick(("\n", "", "\r", "\0\n")))


_ROW_FAULTS: tuple[Callable[[Dice, list[str], int], None], ...] = (
    _change_word, _change_word, _change_value, _change_value, _drop, _double, _move, _strange_row,
)  # fmt: skip
