import io
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sam_mprompt.data import image as image_module
from sam_mprompt.data.image import as_rgb, image_size, images_in, natural_order, read_header, read_image
from sam_mprompt.errors import UsageError

RGB = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_every_exif_orientation_is_applied_to_pixels_and_to_the_size_alike(tmp_path, orientation, suffix):
    # Four flat quarters survive JPEG, and tell all eight orientations apart.
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32], stored[:16, 32:], stored[16:, :32] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    picture = Image.fromarray(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a{suffix}", picture, exif=exif)
    carrier = Image.open(saved(tmp_path / "reference.png", picture, exif=exif))
    expected = np.asarray(ImageOps.exif_transpose(carrier).convert("RGB"))

    read = read_image(path)

    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 8
    assert image_size(path) == read.shape[:2]
    assert read_header(path).orientation == orientation
    np.testing.assert_array_equal(as_rgb(Image.open(path)), read)


@pytest.mark.parametrize("value", [0, 9, 300])
def test_a_meaningless_orientation_is_ignored(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    path = saved(tmp_path / "a.png", Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(read_image(path), RGB)
    assert image_size(path) == (5, 7)


@given(values=st.lists(st.integers(0, 65535), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_sixteen_bit_grey_spans_the_eight_bit_range(values):
    buffer = io.BytesIO()
    Image.fromarray(np.array([values], dtype=np.uint16)).save(buffer, "PNG")
    read = as_rgb(Image.open(buffer))
    np.testing.assert_allclose(read[0], np.repeat(np.array(values)[:, None] / 257, 3, axis=1), atol=0.5)


def test_sixteen_bit_grey_tiff_of_either_byte_order_reads_alike(tmp_path):
    values = np.array([[0, 257, 40_000, 65_535]], np.uint16)
    little = read_image(saved(tmp_path / "a.tif", Image.fromarray(values)))
    big = read_image(saved(tmp_path / "b.tif", Image.fromarray(values.astype(">u2"))))
    np.testing.assert_array_equal(little, big)
    assert little[0, :, 0].tolist() == [0, 1, 156, 255]


def test_integer_pixels_outside_sixteen_bits_are_refused(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.array([[-1, 70_000]], np.int32)))
    with pytest.raises(UsageError, match=r"-1\.\.70000.*expected 0\.\.65535"):
        read_image(path)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = RGB[:, :, 0].copy()
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(read, np.stack([grey] * 3, axis=2))
    bits = read_image(saved(tmp_path / "b.png", Image.fromarray(grey > 50)))
    assert set(np.unique(bits)) == {0, 255}


def test_transparent_pixels_are_composited_on_white(tmp_path):
    layer = np.zeros((1, 3, 4), np.uint8)
    layer[0, :, 3] = (0, 51, 255)
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(layer)))
    assert read[0].tolist() == [[255] * 3, [204] * 3, [0] * 3]


def test_grey_with_alpha_is_composited_on_white(tmp_path):
    layer = np.array([[[10, 0], [10, 255]]], np.uint8)
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(layer)))
    assert read[0].tolist() == [[255] * 3, [10] * 3]


def test_a_palette_is_resolved_and_its_transparent_entry_becomes_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([9, 8, 7, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    opaque = read_image(saved(tmp_path / "a.png", picture))
    assert opaque[0].tolist() == [[9, 8, 7], [200, 100, 50]]
    clear = read_image(saved(tmp_path / "b.png", picture, transparency=0))
    assert clear[0].tolist() == [[255, 255, 255], [200, 100, 50]]


def test_cmyk_becomes_rgb(tmp_path):
    read = read_image(saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95))
    assert read.shape == (16, 16, 3)
    assert np.abs(read[8, 8].astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("mode", ["F", "LAB"])
def test_pixels_without_a_meaning_in_rgb_are_refused_by_name(tmp_path, mode):
    path = saved(tmp_path / "a.tif", Image.new(mode, (3, 3)))
    with pytest.raises(UsageError, match=f"a.tif' has '{mode}' pixels; expected RGB"):
        read_image(path)


@pytest.mark.parametrize(("suffix", "options"), [(".jpg", {}), (".png", {}), (".webp", {}), (".tif", {}), (".bmp", {})])
def test_a_truncated_file_is_refused_with_its_name_and_what_to_do(tmp_path, suffix, options):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(noise), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UsageError, match=rf"a\{suffix}'.*(truncated|not an image)") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@given(cut=st.integers(0, 400), damage=st.binary(min_size=1, max_size=8), place=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_gives_pixels_or_a_request_error_and_nothing_else(tmp_path_factory, cut, damage, place):
    buffer = io.BytesIO()
    Image.fromarray(np.resize(RGB, (20, 20, 3))).save(buffer, "PNG", exif=Image.Exif())
    content = bytearray(buffer.getvalue())
    content[place : place + len(damage)] = damage
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    path.write_bytes(bytes(content[: len(content) - cut]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(UsageError):
            assert read_image(path).dtype == np.uint8


def test_a_file_that_is_no_image_an_empty_file_and_a_folder_are_each_named(tmp_path):
    (tmp_path / "note.jpg").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UsageError, match=r"note\.jpg': it is not an image"):
        read_image(tmp_path / "note.jpg")
    with pytest.raises(UsageError, match=r"empty\.jpg': the file is empty"):
        image_size(tmp_path / "empty.jpg")
    with pytest.raises(UsageError, match="is a folder"):
        read_image(tmp_path)


def test_a_missing_image_is_named_with_the_nearest_name(tmp_path):
    saved(tmp_path / "crowd.jpg", Image.fromarray(RGB))
    with pytest.raises(UsageError, match=r"No image file at .*crowd\.jgp'\. Did you mean 'crowd\.jpg'\?"):
        read_image(tmp_path / "crowd.jgp")


def test_the_size_is_read_without_decoding_pixels(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))

    def decode(self: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert image_size(path) == (5, 7)


def test_an_image_beyond_pillows_own_limit_is_read_without_a_warning(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(path), RGB)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_pillows_limit_stands_again_after_reading_from_many_threads(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    usual = Image.MAX_IMAGE_PIXELS
    threads = [threading.Thread(target=lambda: [image_size(path) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert usual == Image.MAX_IMAGE_PIXELS


def test_a_decompression_bomb_is_refused_before_decoding(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    monkeypatch.setattr(image_module, "MAX_PIXELS", 30)
    monkeypatch.setattr(image_module, "MAX_PIXELS_OF_LARGE_FILES", 30)
    with pytest.raises(UsageError, match="7x5 pixels, more than the 30 accepted"):
        image_size(path)


def test_paths_pil_images_and_arrays_give_the_same_pixels(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    for form in (path, str(path), Image.open(path), Image.fromarray(RGB), RGB, RGB[:, ::-1][:, ::-1]):
        read = as_rgb(form)
        np.testing.assert_array_equal(read, RGB)
        assert read.flags.c_contiguous
    np.testing.assert_array_equal(as_rgb(RGB[:, :, 0]), np.stack([RGB[:, :, 0]] * 3, axis=2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (RGB.astype(np.float32), "received float32"),
        (np.zeros((4, 4, 4), np.uint8), r"received \(4, 4, 4\).*alpha"),
        (np.zeros((3, 4, 4), np.uint8), "channels last"),
        (np.zeros((1, 4, 4, 3), np.uint8), "one image at a time"),
        (np.zeros((0, 4, 3), np.uint8), r"received \(0, 4, 3\)"),
        (None, "received NoneType"),
        ([[0]], "received list"),
    ],
)
def test_anything_else_is_refused_with_what_was_received(value, message):
    with pytest.raises(UsageError, match=message):
        as_rgb(value)


def test_a_folder_lists_its_images_in_natural_order_and_any_case(tmp_path):
    for name in ("10.jpg", "2.JPG", "b.tiff", "a.webp", ".hidden.jpg", "._2.jpg", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in images_in(tmp_path)] == ["2.JPG", "10.jpg", "a.webp", "b.tiff"]
    assert images_in(tmp_path / "nowhere") == []


@given(st.lists(st.text(alphabet="a1 ²٣-_B0", max_size=6), max_size=8))
def test_natural_order_sorts_any_names(names):
    paths = [Path("x" + name) for name in names]
    other_way = list(reversed(paths))
    assert sorted(paths, key=natural_order) == sorted(other_way, key=natural_order)
