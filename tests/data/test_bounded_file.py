"""A file is read as any other, and none of its bytes is given room that it does not have."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.data.bounded_file import BoundedFile
from sam_mprompt.data.image import read_image


@pytest.mark.parametrize("size", [0, 1, 10_000, 99_999, 100_000, 1 << 40, -1, None])
@pytest.mark.parametrize("place", [0, 5, 99_999, 100_000, 200_000])
def test_every_read_gives_what_a_file_gives(tmp_path, size, place):
    path = tmp_path / "a"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    with BoundedFile(path) as file, io.BytesIO(path.read_bytes()) as usual:
        file.seek(place)
        usual.seek(place)
        assert file.read(size) == usual.read(size)
        assert file.read(3) == usual.read(3)


def test_a_png_of_a_few_bytes_that_says_it_has_gigabytes_is_read_in_little_memory(tmp_path):
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    data = bytearray(path.read_bytes())
    struct.pack_into(">I", data, data.index(b"IDAT") - 4, 0xFFFFFFFF)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert np.array_equal(read_image(path), pixels)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
