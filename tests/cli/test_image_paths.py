import os
from pathlib import Path

import pytest

from sam_mprompt.cli.image_paths import expand, named, picture_names
from sam_mprompt.errors import UsageError


@pytest.fixture
def phone(tmp_path, monkeypatch):
    """A folder of mixed kinds: three that are read, five that are not, and two that are no pictures."""
    monkeypatch.setattr("sam_mprompt.data.image.reads_heic", lambda: False)
    folder = tmp_path / "phone"
    folder.mkdir()
    for name in ("a.jpg", "d.jfif", "e.webp", "IMG_1.HEIC", "b.gif", "c.avif", "v.MOV", "notes.txt", ".hidden.gif"):
        (folder / name).touch()
    os.mkfifo(folder / "pipe.png")
    return folder


def test_a_folders_pictures_of_other_kinds_and_pipes_are_named_and_what_can_be_read_is(phone):
    found = expand([str(phone)])
    assert [path.name for path in found.images] == ["a.jpg", "d.jfif", "e.webp"]
    assert [path.name for path in found.passed_over] == ["IMG_1.HEIC", "b.gif", "c.avif", "pipe.png", "v.MOV"]
    assert found.line == ("Passed over, as it reads no such files: 5 files (IMG_1.HEIC, b.gif, c.avif and 2 more).")


def test_a_pipe_that_a_glob_names_is_passed_over_and_nothing_is_said_where_nothing_was(phone):
    found = expand([str(phone / "*.[jp][fpn]*g")])
    assert ([p.name for p in found.images], [p.name for p in found.passed_over]) == (["a.jpg"], ["pipe.png"])
    assert expand([str(phone / "a.jpg")]).line == ""


def test_a_folder_of_other_kinds_alone_is_refused_with_their_names(phone):
    for path in phone.glob("[ade].[jw]*"):
        path.unlink()
    with pytest.raises(UsageError, match=r"are HEIC, which needs the package 'pillow-heif'"):
        expand([str(phone)])
    (phone / "IMG_1.HEIC").unlink()
    with pytest.raises(UsageError, match=r"No image at .*There are only: 4 files \(b\.gif, c\.avif, pipe\.png"):
        expand([str(phone)])


def test_names_are_in_order_and_without_repeats(phone):
    twice = expand([str(phone / "d.jfif"), str(phone), str(phone)])
    assert [path.name for path in twice.images] == ["d.jfif", "a.jpg", "e.webp"]
    assert len(twice.passed_over) == 5


def test_one_file_is_named_alone():
    assert named([Path("x/a.gif")]) == "1 file (a.gif)"


def test_no_two_pictures_are_one_file_on_any_file_system():
    images = [Path(name) for name in ("a/x.png", "b/x.jpg", "b/x.tif", "b/X.png", "a/Zu\u0308.png", "a/Z\u00fc.png")]
    names = picture_names(images, Path("out"))
    assert [path.name for path in names.values()][:4] == ["x.jpg", "b_x.jpg", "b_x_2.jpg", "b_X_3.jpg"]
    assert len(set(names.values())) == 6
    assert names[images[4]].name != names[images[5]].name == "a_Z\u00fc.jpg"


def test_long_names_and_names_that_are_not_utf8_get_pictures_that_can_be_written(tmp_path):
    images = [Path(folder, os.fsdecode(stem) + ".png") for folder in "ab" for stem in (b"n" * 251, b"caf\xe9")]
    for path in picture_names(images, tmp_path).values():
        path.touch()
    assert len(list(tmp_path.iterdir())) == 4
