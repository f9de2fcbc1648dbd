"""Whether a MATLAB 5 file holds only elements that its reader knows: scipy's looks others up beyond its table's end."""

import zlib
from collections.abc import Iterator
from typing import Literal

_HEADER = 128
_NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18})  # integers, floating point, text
_MATRIX, _COMPRESSED = 14, 15
_HOLD_OTHERS = frozenset({1, 2, 3, 16, 17})  # classes of matrices: cell, struct, object, function, opaque
_DEEPEST = 32

_Order = Literal["little", "big"]


def check_elements(content: bytes, most_bytes: int) -> None:
    """Check the types and lengths of all elements. Files of version 4, which have none, are left to the reader.

    Raises:
        ValueError: an unknown type, an element longer than what it is in, matrices in each other more than 32 deep, or
            compressed parts that unpack to more than `most_bytes`.
    """
    if 0 in content[:4]:
        return
    left = most_bytes
    order: _Order = "little" if content[126:128] == b"IM" else "big"
    for kind, data in _elements(memoryview(content)[_HEADER:], order):
        if kind != _COMPRESSED:
            _check(kind, data, order, 0)
            continue
        unpacked = zlib.decompressobj().decompress(data, left + 1)
        left -= len(unpacked)
        if left < 0:
            raise ValueError(f"more than {most_bytes} bytes when unpacked")
        for inner_kind, inner in _elements(memoryview(unpacked), order):
            _check(inner_kind, inner, order, 0)


def _elements(data: memoryview, order: _Order) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the elements that follow each other."""
    place = 0
    while place + 8 <= len(data):
        kind, size = (int.from_bytes(data[place + at : place + at + 4], order) for at in (0, 4))
        start = place + 8
        if kind >> 16:  # a small one: length and type share four bytes
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
            place += 8
        else:
            place = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes, of which {len(data) - start} are there")
        yield kind, data[start : start + size]


def _check(kind: int, data: memoryview, order: _Order, depth: int) -> None:
    if kind in _NUMBERS:
        return
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind}")
    if depth > _DEEPEST:
        raise ValueError("matrices nested too deeply")
    holds_others = False
    for number, (inner_kind, inner) in enumerate(_elements(data, order)):
        if number == 0:
            holds_others = int.from_bytes(inner[:4], order) & 0xFF in _HOLD_OTHERS
        if inner_kind not in _NUMBERS and not holds_others:
            raise ValueError(f"an element of type {inner_kind} among numbers")
        _check(inner_kind, inner, order, depth + 1)
