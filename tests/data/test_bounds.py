from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.data import bounds
from sam_mprompt.data.bounds import Reading, any_size
from sam_mprompt.data.image import as_decoded, decode, read_header, read_image
from sam_mprompt.errors import SmallerCopyWarning, UsageError

FEW = Reading(max_pixels=9_000, reduced=True)


def half(size: tuple[int, int]) -> tuple[int, int]:
    """What is asked for by one who shrinks every picture to half of its sides."""
    return size[0] // 2, size[1] // 2


def photograph(path: Path, size: tuple[int, int] = (200, 161), **options: object) -> Path:
    """Write a picture of (width, height) with a bright spot, noisy enough to be taken for a photograph."""
    pixels = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3)).astype(np.uint8)
    pixels[8:24, 16:48] = 250
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "many"])
def test_a_limit_that_is_no_number_of_pixels_is_refused(limit):
    with pytest.raises(UsageError, match="max_pixels: expected a number of pixels from 1 on"):
        Reading(max_pixels=limit)


def test_a_jpeg_above_the_limit_that_is_shrunk_anyway_is_decoded_to_the_smaller_copy(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    with pytest.warns(SmallerCopyWarning, match="200x161 pixels, more than accepted: a smaller copy of 100x81 is read"):
        found = as_decoded(path, FEW, enough=half)
    assert found.size == (161, 200) == read_header(path, FEW).size
    assert found.pixels.shape == (81, 100, 3)
    whole = np.asarray(Image.fromarray(read_image(path)).resize((100, 81), Image.Resampling.BOX)).astype(int)
    assert np.abs(found.pixels - whole).mean() < 6


def test_a_turned_jpeg_is_turned_as_a_smaller_copy_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = photograph(tmp_path / "a.jpg", exif=exif)
    asked = []
    found = decode(path, FEW, enough=lambda size: asked.append(size) or half(size))
    assert asked == [(200, 161)] == [found.size]
    assert found.pixels.shape == (100, 81, 3)
    assert found.pixels[8:24, 69:77].mean() > 200  # the spot, turned by a quarter to the right


def test_within_the_limit_a_picture_is_decoded_in_full_whatever_would_be_enough(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    reading = Reading(max_pixels=200 * 161, reduced=True)
    np.testing.assert_array_equal(decode(path, reading, enough=any_size).pixels, decode(path).pixels)


@pytest.mark.parametrize(
    ("name", "options", "reading", "enough"),
    [
        ("a.jpg", {}, FEW, lambda size: (size[0] // 2 + 2, 1)),  # shrunk to more than the copy would have
        ("a.jpg", {}, FEW, None),  # read in full
        ("a.jpg", {}, Reading(max_pixels=9_000), half),  # not allowed
        ("a.jpg", {}, Reading(max_pixels=100, reduced=True), any_size),  # an eighth is still too much
        ("a.jpg", {"progressive": True}, FEW, half),  # the decoder holds all of it at any scale
        ("a.png", {}, FEW, half),
        ("a.webp", {}, FEW, half),
        ("a.tif", {}, FEW, half),
        ("a.bmp", {}, FEW, half),
    ],
)
def test_what_cannot_be_decoded_smaller_is_refused_with_the_limit(tmp_path, name, options, reading, enough):
    path = photograph(tmp_path / name, **options)
    with pytest.raises(UsageError, match=rf"200x161 pixels, more than the {reading.max_pixels} accepted") as caught:
        decode(path, reading, enough=enough)
    assert caught.value.about == "too many pixels"


def test_a_jpeg_whose_channels_come_one_after_the_other_is_not_decoded_smaller(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    content = path.read_bytes()
    scan = content.index(b"\xff\xda\x00\x0c\x03")
    path.write_bytes(content[:scan] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + content[scan + 14 :])
    with pytest.raises(UsageError, match="more than the 9000 accepted"):
        decode(path, FEW, enough=half)


def test_a_jpeg_that_holds_too_little_to_be_a_photograph_is_refused_with_what_decoding_would_take(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("L", (64, 64)).save(path)
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0") + 5
    content[frame : frame + 4] = b"\x7f\xff\x7f\xff"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"32767x32767 pixels, more than the 268435456 accepted .*takes 4\.3 GB of"):
        decode(path, Reading(reduced=True), enough=any_size)


def test_an_image_that_takes_more_memory_than_is_left_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = photograph(tmp_path / "a.png")
    needed = 200 * 161 * 7
    monkeypatch.setattr(bounds, "_UNASKED", 0)
    monkeypatch.setattr(bounds, "available_memory", lambda: needed)
    read_image(path)
    monkeypatch.setattr(bounds, "available_memory", lambda: needed - 1)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    with pytest.raises(UsageError, match=r"200x161 pixels: decoding it takes .* more than the .* that are left"):
        read_image(path)
    assert read_header(path).size == (161, 200)  # what a dataset holds does not depend on what is free just now
    monkeypatch.setattr(bounds, "available_memory", lambda: None)
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        read_image(path)


def test_a_progressive_jpeg_is_known_to_take_more(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "_UNASKED", 0)
    monkeypatch.setattr(bounds, "available_memory", lambda: 200 * 161 * 7)
    read_image(photograph(tmp_path / "a.jpg"))
    with pytest.raises(UsageError, match="of memory, more than"):
        read_image(photograph(tmp_path / "b.jpg", progressive=True))
