"""Whether a PNG file holds as many rows as its header says: decoders make black of those that lack, without a word.

To unpack a file a second time takes a third of the time of decoding it. So all are asked only what their lengths tell,
and those that end in a row of one colour, as what lacks does, are unpacked and counted.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import IO

from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel's, by colour type
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20
_MOST_PACKED = 1032  # times; deflate packs no closer


def cannot_hold_its_rows(file: IO[bytes]) -> bool:
    """Whether a PNG is too short for its rows, however it is packed. As `lacks_rows` otherwise."""
    return _lacks(file, unpack=False)


def may_lack_rows(image: Image.Image) -> bool:
    """Whether a decoded PNG could be one that lacks rows: its last one has one colour, or rows came interlaced."""
    width, height = image.size
    last = image.crop((0, height - 1, width, height)).getextrema()
    bands = last if isinstance(last[0], tuple) else (last,)
    return bool(image.info.get("interlace")) or all(low == high for low, high in bands)


def lacks_rows(file: IO[bytes]) -> bool:
    """Whether the pixels of a PNG end before its last row. False for other files, and for what decoders refuse.

    Nothing large is held: the pixels are unpacked in pieces, only to be counted. The file is left where it was.
    """
    return _lacks(file, unpack=True)


def _lacks(file: IO[bytes], *, unpack: bool) -> bool:
    place = file.tell()
    file.seek(0)
    try:
        if file.read(8) != _SIGNATURE:
            return False
        chunks = _chunks(file)
        name, header = next(chunks, (b"", b""))
        if name != b"IHDR" or len(header) != 13:
            return False
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        if colour not in _SAMPLES:
            return False
        expected = _bytes(width, height, depth * _SAMPLES[colour], interlaced=bool(interlaced))
        if unpack:
            return _unpacked(chunks, expected) < expected
        return _MOST_PACKED * sum(len(piece) for _, piece in chunks) < expected
    except (OSError, struct.error, zlib.error):
        return False
    finally:
        file.seek(place)


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of IHDR and of each piece of IDAT."""
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name not in (b"IHDR", b"IDAT"):
            file.seek(length + 4, 1)
            continue
        while length:
            piece = file.read(min(length, _PIECE))
            if not piece:
                return
            length -= len(piece)
            yield name, piece
        file.seek(4, 1)


def _bytes(width: int, height: int, bits: int, *, interlaced: bool) -> int:
    """Return the bytes of all rows, each with one more for its filter."""
    if not interlaced:
        return height * (1 + -(-width * bits // 8))
    sides = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES)
    return sum(high * (1 + -(-wide * bits // 8)) for wide, high in sides if wide > 0 and high > 0)


def _unpacked(chunks: Iterator[tuple[bytes, bytes]], enough: int) -> int:
    """Return how many bytes the pixels unpack to, as far as `enough`."""
    unpacker, found = zlib.decompressobj(), 0
    for name, piece in chunks:
        left = piece if name == b"IDAT" else b""
        while left and found < enough and not unpacker.eof:
            found += len(unpacker.decompress(left, _PIECE))
            left = unpacker.unconsumed_tail
    while found < enough and not unpacker.eof and (more := unpacker.decompress(unpacker.unconsumed_tail, _PIECE)):
        found += len(more)
    return found
