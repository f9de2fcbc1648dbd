"""A PNG that holds fewer rows than its header says is told, not filled with black."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.data.image import read_image
from sam_mprompt.data.masks import read_mask
from sam_mprompt.data.png_rows import cannot_hold_its_rows, lacks_rows, may_lack_rows
from sam_mprompt.errors import UsageError


def png(rows: int, height: int = 48, width: int = 64) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, *[200] * width]) * rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("rows", [0, 1, 47])
def test_rows_that_lack_are_told(tmp_path, rows):
    (tmp_path / "a.png").write_bytes(png(rows))
    with pytest.raises(
        UsageError, match=r"Cannot read image '.*a\.png': truncated or broken \((fewer rows than its|image file is tr)"
    ):
        read_image(tmp_path / "a.png")


def test_all_rows_or_more_are_no_fault(tmp_path):
    for rows in (48, 60):
        (tmp_path / "a.png").write_bytes(png(rows))
        assert (read_image(tmp_path / "a.png") == 200).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (640, 300)])
def test_every_kind_of_pixel_is_counted_right(mode, size):
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    image = Image.fromarray(noise.astype(np.uint16)) if mode == "I;16" else Image.fromarray(noise).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    file.seek(5)
    assert not lacks_rows(file)
    assert file.tell() == 5


def test_what_is_no_png_is_none_of_this(tmp_path):
    assert not lacks_rows(io.BytesIO(b""))
    assert not lacks_rows(io.BytesIO(b"\x89PNG\r\n\x1a\n"))
    assert not lacks_rows(io.BytesIO(b"\xff\xd8\xff"))


def test_a_picture_is_unpacked_a_second_time_only_if_it_ends_in_one_colour_or_is_interlaced():
    picture = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    assert not may_lack_rows(Image.fromarray(picture))
    assert not may_lack_rows(Image.fromarray(picture[..., 0]))
    interlaced = Image.fromarray(picture)
    interlaced.info["interlace"] = 1
    assert may_lack_rows(interlaced)
    picture[-1] = (7, 0, 9)
    assert may_lack_rows(Image.fromarray(picture))


def test_a_header_of_which_no_file_of_that_length_can_hold_the_rows_is_told_before_anything_is_decoded():
    assert cannot_hold_its_rows(io.BytesIO(png(1, height=32_000, width=32_000)))
    for rows in (48, 1):
        assert not cannot_hold_its_rows(io.BytesIO(png(rows)))


def test_a_mask_that_lacks_rows_is_told_too(tmp_path):
    (tmp_path / "a.png").write_bytes(png(40))
    with pytest.raises(UsageError, match="cannot be decoded"):
        read_mask(tmp_path / "a.png", (48, 64))
    (tmp_path / "a.png").write_bytes(png(48))
    assert read_mask(tmp_path / "a.png", (48, 64)).all()
