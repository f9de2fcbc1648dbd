import io
import os
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sam_mprompt.data import bounds, packages
from sam_mprompt.data import image as image_module
from sam_mprompt.data.bounds import Reading
from sam_mprompt.data.image import (
    DimImageWarning,
    as_rgb,
    decode,
    image_size,
    images_in,
    natural_order,
    read_header,
    read_image,
    sort_folder,
)
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


@pytest.mark.filterwarnings("ignore::sam_mprompt.data.image.DimImageWarning")
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
    monkeypatch.setattr(bounds, "MAX_PIXELS", 30)
    monkeypatch.setattr(bounds, "MAX_PIXELS_OF_LARGE_FILES", 30)
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


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".eps"])
def test_postscript_is_refused_under_any_name_and_starts_no_program(tmp_path, monkeypatch, suffix):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / f"street{suffix}").write_bytes(POSTSCRIPT)
    with pytest.raises(UsageError, match=r"not an image of a known kind\. Expected JPEG, PNG, BMP, TIFF or WebP"):
        read_image(tmp_path / f"street{suffix}")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["GIF", "PPM", "TGA", "ICO", "PCX", "SGI"])
def test_only_the_promised_formats_are_decoded_whatever_the_name(tmp_path, kind):
    Image.fromarray(np.resize(RGB, (16, 16, 3))).save(tmp_path / "a.jpg", format=kind)
    with pytest.raises(UsageError, match="not an image of a known kind"):
        read_header(tmp_path / "a.jpg")


def test_a_promised_format_is_read_under_another_suffix(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.gif", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), RGB)


def bomb(path: Path, side: int) -> Path:
    """Write a black PNG of side x side pixels whose file has only a thousandth of as many bytes."""
    Image.new("1", (side, side)).save(path)
    return path


def test_the_limit_on_pixels_is_lower_for_files_that_hold_too_little_to_be_a_photograph(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "MAX_PIXELS", 1000 * 1000)
    path = bomb(tmp_path / "a.png", 3000)
    assert path.stat().st_size * 64 < 3000 * 3000
    with pytest.raises(UsageError, match="3000x3000 pixels, more than the 1000000 accepted"):
        read_header(path)
    noise = np.random.default_rng(0).integers(0, 255, (1100, 1100), dtype=np.uint8)
    assert image_size(saved(tmp_path / "b.png", Image.fromarray(noise))) == (1100, 1100)


@pytest.mark.parametrize("read", [read_image, read_header, decode, as_rgb])
def test_the_limit_that_a_caller_gives_holds_for_every_file(tmp_path, read):
    path = bomb(tmp_path / "a.png", 300)
    read(path, Reading(max_pixels=90_000))
    with pytest.raises(UsageError, match="300x300 pixels, more than the 89999 accepted"):
        read(path, Reading(max_pixels=89_999))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_an_image_read_in_strips_is_the_same_as_one_read_at_once(tmp_path, monkeypatch, mode, orientation):
    values = np.random.default_rng(0).integers(0, 255, (11, 7, 4), dtype=np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(values[:, :, 0].astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(values).convert(mode) if mode != "RGB" else Image.fromarray(values[:, :, :3].copy())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", picture, exif=exif)
    whole = read_image(path)
    monkeypatch.setattr("sam_mprompt.data.pixels._STRIP", 14)
    np.testing.assert_array_equal(read_image(path), whole)


@pytest.mark.parametrize("bits", range(8, 15))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_16_bit_image_that_uses_few_bits_is_told_and_can_be_stretched(tmp_path, bits, suffix):
    values = np.array([[0, (1 << bits) - 1, 1 << (bits - 1)]], np.uint16)
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(values))
    with pytest.warns(DimImageWarning, match=f"uses {bits} of its 16 bits"):
        read_image(path)
    found = decode(path, Reading(stretch=True))
    assert (found.bits, found.dim, decode(path).dim) == (bits, False, True)
    assert found.pixels[0, :, 0].tolist() == [0, 255, round(255 * (1 << (bits - 1)) / ((1 << bits) - 1))]


@pytest.mark.parametrize("values", [[0, 0], [0, 1 << 14], [9, 65535]])
def test_a_16_bit_image_that_is_black_or_uses_its_range_is_not_called_dim(tmp_path, values):
    assert not decode(saved(tmp_path / "a.png", Image.fromarray(np.array([values], np.uint16)))).dim


def test_further_pages_are_told_from_the_header(tmp_path):
    pages = [Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())]
    for suffix in (".tif", ".png", ".webp"):
        path = tmp_path / f"a{suffix}"
        pages[0].save(path, save_all=True, append_images=pages[1:])
        assert read_header(path).more_pages
        assert read_header(path).size == (5, 7)
        assert not read_header(saved(tmp_path / f"b{suffix}", pages[0])).more_pages
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), RGB)


def test_pipes_folders_lost_links_and_pictures_of_other_kinds_are_passed_over_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(image_module, "reads_heic", lambda: False)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for name in ("a.jpg", "b.jfif", "IMG_2.HEIC", "c.gif", "d.avif", "notes.txt", ".hidden.heic"):
        (tmp_path / name).touch()
    images, passed_over = sort_folder(tmp_path)
    assert [path.name for path in images] == ["a.jpg", "b.jfif"]
    others = {
        "pipe.jpg",
        "folder.png",
        "link.jpg",
        "IMG_2.HEIC",
        "c.gif",
        "d.avif",
    }
    assert {path.name for path in passed_over} == others
    with pytest.raises(UsageError, match="is a pipe or a device"):
        read_image(tmp_path / "pipe.jpg")


def test_a_name_that_no_file_can_have_and_an_image_without_pixels_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"Cannot read image .*name too long"):
        read_image(tmp_path / ("z" * 300 + ".jpg"))
    with pytest.raises(UsageError, match="received one of 0x0"):
        as_rgb(Image.new("RGB", (0, 0)))


def test_a_link_that_leads_to_itself_is_passed_over(tmp_path):
    (tmp_path / "a.png").symlink_to("a.png")
    saved(tmp_path / "b.png", Image.fromarray(RGB))
    assert images_in(tmp_path) == [tmp_path / "b.png"]
    assert sort_folder(tmp_path).passed_over == [tmp_path / "a.png"]


def heic(path: Path, **options: object) -> Path:
    """Write a HEIC of 12x8 pixels, red on the left and blue on the right."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:, :6, 0] = pixels[:, 6:, 2] = 255
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=-1, **options)
    return path


def test_heic_is_read_where_its_package_is_installed_and_pillow_stays_as_it_is(tmp_path):
    path = heic(tmp_path / "IMG_1.HEIC")
    assert [image.name for image in sort_folder(tmp_path).images] == ["IMG_1.HEIC"]
    assert read_header(path).size == (8, 12)
    pixels = read_image(path)
    assert pixels.shape == (8, 12, 3)
    assert pixels[4, 2, 0] > 200
    assert pixels[4, 2, 2] < 60
    assert "HEIF" not in Image.OPEN


def test_heic_is_turned_as_its_exif_says_and_read_under_any_name(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = heic(tmp_path / "phone.jpg", exif=exif.tobytes())
    assert read_header(turned).size == read_image(turned).shape[:2] == (12, 8)
    assert read_image(turned)[2, 4, 0] > 200


def test_heic_without_its_package_is_passed_over_in_folders_and_refused_by_name(tmp_path, monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    path = heic(tmp_path / "IMG_1.HEIC")
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setattr(packages, "import_module", missing)
    assert sort_folder(tmp_path) == ([], [path])
    for read in (read_header, read_image):
        with pytest.raises(UsageError, match="is HEIC, which needs the package 'pillow-heif', which the extra 'heic'"):
            read(path)


def test_a_damaged_heic_is_refused_in_one_line(tmp_path):
    path = heic(tmp_path / "IMG_1.HEIC")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UsageError, match="Cannot read image"):
        read_image(path)


def deep(path, bits, alpha=False):
    """Write colour of 16 bits a channel, of which so many are used; return it as uint16 RGB."""
    top = (1 << bits) - 1
    values = np.array([[[top, 0, top // 3], [0, top, 0]], [[top // 2, top // 4, 0], [1, 0, top]]], np.uint16)
    layers = [values[..., ::-1]] + ([np.full((2, 2, 1), 65535, np.uint16)] if alpha else [])
    cv2.imwrite(str(path), np.concatenate(layers, axis=2))
    return values


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [7, 8, 10, 12, 14])
def test_colour_of_16_bits_that_uses_few_is_told_and_can_be_stretched_as_grey_can(tmp_path, suffix, alpha, bits):
    path = tmp_path / f"a.{suffix}"
    values = deep(path, bits, alpha)
    with pytest.warns(DimImageWarning, match=f"uses {bits} of its 16 bits"):
        assert read_image(path).max() < 64
    found = decode(path, Reading(stretch=True))
    assert not found.dim
    np.testing.assert_allclose(found.pixels, values * (255 / ((1 << bits) - 1)), atol=1)


def test_colour_of_16_bits_that_uses_them_or_is_black_is_not_called_dim(tmp_path):
    path = tmp_path / "a.png"
    values = deep(path, 16)
    found = decode(path)
    assert (found.bits, found.dim) == (16, False)
    np.testing.assert_allclose(found.pixels, values / 257, atol=1)
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint16))
    assert (decode(path).bits, decode(path).dim) == (0, False)


def test_colour_of_8_bits_has_nothing_to_stretch(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((4, 4, 3), 9, np.uint8)))
    assert decode(path).bits is None
    assert decode(path, Reading(stretch=True)).pixels.max() == 9
