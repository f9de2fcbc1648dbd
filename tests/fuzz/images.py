"""Image files: headers and bodies of every format that is read, other formats under their names, headers that lie."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .attempt import Attempt
from .dice import Dice
from .worker import Finding

IMPORTS = ("sam_mprompt.data.masks",)

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".JPG", ".jfif")
_FOREIGN = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "gif": b"GIF89a\x02\x00\x02\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x02\x00\x02\x00\x00"
    + b"\x02\x02D\x01\x00;",
    "ppm": b"P6 2 2 255\n" + bytes(12),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "pdf": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
    "heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1",
    "zip": b"PK\x03\x04" + bytes(30),
    "html": b"<!doctype html><title>404</title>",
    "text": b"x,y\n1,2\n",
    "nothing": b"",
    "zeros": bytes(4096),
}
_SIDES = (0, 1, 2, 0x7FFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 30_000, 65_535, 100_000, 16_384)


def prepare(folder: Path) -> None:
    """Nothing: all bodies are made in memory."""


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make one file and read it in every way."""
    name, data = _content(dice)
    path = folder / f"a{dice.pick(_SUFFIXES)}"
    path.write_bytes(data)
    return Attempt(f"{name} of {len(data)} bytes as {path.name}", lambda: read(path, dice.chance(0.3)))


def _content(dice: Dice) -> tuple[str, bytes]:
    if dice.chance(0.08):
        name = dice.pick(_FOREIGN)
        return name, dice.damaged(_FOREIGN[name]) if dice.chance(0.5) else _FOREIGN[name]
    every = bodies()
    name = dice.pick(every)
    data = every[name]
    if dice.chance(0.4):
        name, data = f"{name}, sizes that lie", _lying(dice, data)
    if dice.chance(0.75):
        name, data = f"{name}, damaged", dice.damaged(data)
    return name, data


def read(path: Path, stretch: bool) -> None:
    from sam_mprompt.data.bounds import Reading
    from sam_mprompt.data.image import as_rgb, decode, images_in, read_header
    from sam_mprompt.data.masks import read_mask
    from sam_mprompt.errors import UsageError

    problems = []
    for step in (
        lambda: _agree(decode(path, Reading(stretch=stretch)).pixels.shape[:2], read_header(path).size),
        lambda: [as_rgb(image) for image in _opened(path)],
        lambda: read_mask(path, (24, 32)),
        lambda: images_in(path.parent),
    ):
        try:
            step()
        except UsageError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def _opened(path: Path) -> list[Image.Image]:
    """Return what a user may have opened with Pillow; none where it cannot be opened or Pillow has no room for it."""
    with contextlib.suppress(Exception):
        _load(path)
        return [Image.open(path), Image.open(io.BytesIO(path.read_bytes()))]
    return []


def _load(path: Path) -> None:
    """Decode with Pillow alone. Raises MemoryError, and nothing where something else is wrong: that is ours to tell."""
    try:
        Image.open(path).load()
    except MemoryError:  # it makes room for as much as a chunk of a PNG says it has
        raise
    except Exception:
        pass


def _agree(decoded: tuple[int, ...], header: tuple[int, int]) -> None:
    if tuple(decoded) != tuple(header):
        raise Finding(f"the header says {header}, the pixels are {decoded}")


@cache
def bodies() -> dict[str, bytes]:
    """Every format in the modes that files of it have, 32 x 24 pixels."""
    rgb = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    colour, grey = Image.fromarray(rgb), Image.fromarray(rgb[:, :, 0].copy())
    deep = Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 9)
    alpha = Image.fromarray(np.dstack([rgb, rgb[:, :, :1]]))
    exif = Image.Exif()
    exif[0x0112] = 6
    bits, palette = grey.point(lambda value: value > 99).convert("1"), colour.quantize(16)
    made: dict[str, bytes] = {}

    def add(name: str, image: Image.Image, kind: str, **options: object) -> None:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made[name] = buffer.getvalue()

    add("jpeg", colour, "JPEG")
    add("jpeg progressive", colour, "JPEG", progressive=True, quality=30)
    add("jpeg grey", grey, "JPEG")
    add("jpeg cmyk", colour.convert("CMYK"), "JPEG")
    add("jpeg turned", colour, "JPEG", exif=exif)
    for mode, image in {"rgb": colour, "grey": grey, "16 bit": deep, "alpha": alpha, "1 bit": bits}.items():
        add(f"png {mode}", image, "PNG")
        add(f"tiff {mode}", image, "TIFF")
    add("png palette", palette, "PNG", transparency=3)
    add("png turned", colour, "PNG", exif=exif)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add(f"tiff {compression}", colour, "TIFF", compression=compression)
    add("tiff group4", bits, "TIFF", compression="group4")
    add("tiff pages", colour, "TIFF", save_all=True, append_images=[grey])
    add("tiff float", Image.fromarray(rgb[:, :, 0].astype(np.float32)), "TIFF")
    add("tiff turned", colour, "TIFF", tiffinfo={0x0112: 8})
    for mode, image in {"rgb": colour, "grey": grey, "1 bit": bits, "palette": palette}.items():
        add(f"bmp {mode}", image, "BMP")
    add("webp", colour, "WEBP", quality=50)
    add("webp lossless", alpha, "WEBP", lossless=True)
    add("webp frames", colour, "WEBP", save_all=True, append_images=[grey.convert("RGB")], duration=50)
    add("webp turned", colour, "WEBP", exif=exif)
    return made


def _lying(dice: Dice, data: bytes) -> bytes:
    """Return a file whose header says another size, with checksums that fit."""
    width, height = dice.pick(_SIDES), dice.pick(_SIDES)
    changed = bytearray(data)
    change: Callable[[bytearray, int, int], None] | None = None
    if data.startswith(b"\x89PNG"):
        change = _lying_png
    elif data.startswith(b"\xff\xd8"):
        change = _lying_jpeg
    elif data.startswith(b"BM"):
        struct.pack_into("<II", changed, 18, width, height)
    elif data.startswith((b"II", b"MM")):
        _lying_tiff(dice, changed)
    elif data.startswith(b"RIFF") and b"VP8X" in data:
        place = data.index(b"VP8X") + 12
        changed[place : place + 6] = (width % 2**24).to_bytes(3, "little") + (height % 2**24).to_bytes(3, "little")
    elif data.startswith(b"RIFF"):
        place = data.index(b"WEBP") + 8 + 9
        changed[place : place + 4] = struct.pack("<HH", width % 2**14, height % 2**14)
    if change is not None:
        change(changed, width, height)
    return bytes(changed)


def _lying_png(data: bytearray, width: int, height: int) -> None:
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))


def _lying_jpeg(data: bytearray, width: int, height: int) -> None:
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        if (place := data.find(marker)) >= 0:
            struct.pack_into(">HH", data, place + 5, height % 2**16, width % 2**16)


def _lying_tiff(dice: Dice, data: bytearray) -> None:
    """Change the type, number or value of up to three tags of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    entries = struct.unpack_from(f"{order}H", data, start)[0]
    for _ in range(dice.choice((1, 1, 2, 3))):
        place = start + 2 + 12 * dice.randrange(entries)
        kind = dice.randrange(4)
        if kind == 0:
            struct.pack_into(f"{order}H", data, place + 2, dice.randrange(14))
        elif kind == 1:
            struct.pack_into(f"{order}I", data, place + 4, dice.pick((*_SIDES, 3, 100)))
        else:
            struct.pack_into(f"{order}I", data, place + 8, dice.pick((*_SIDES, 3, 5, 6, 7, 8, 16, 32, 34712)))
