"""Which images addresses and paths name."""

import os
from pathlib import Path

import fsspec
import pytest

from sam_mprompt.distributed.listing import images_at, in_order, name_of
from sam_mprompt.errors import UsageError


@pytest.fixture
def bucket():
    files = fsspec.filesystem("memory")
    for name in ("b.jpg", "a.JPG", "notes.txt", ".hidden.jpg", "deep/c.png", "deep/deeper/d.png"):
        files.pipe_file(f"/bucket/{name}", b"content")
    yield "memory://bucket"
    files.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("", ["a.JPG", "b.jpg"]),
        ("/deep", ["deep/c.png"]),
        ("/**", ["a.JPG", "b.jpg", "deep/c.png", "deep/deeper/d.png"]),
        ("/*.jpg", ["b.jpg"]),
        ("/b.jpg", ["b.jpg"]),
    ],
)
def test_a_folder_a_pattern_or_an_image_of_an_object_store_is_listed(bucket, address, names):
    assert in_order(images_at(bucket + address)) == [f"memory:///bucket/{name}" for name in names]


@pytest.mark.parametrize("address", ["/empty", "/notes.txt", "/*.gif"])
def test_an_address_without_any_image_is_refused(bucket, address):
    with pytest.raises(UsageError, match="No image at 'memory://bucket"):
        images_at(bucket + address)


def test_an_image_has_one_name_from_wherever_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_of(Path("photos/../photos/a.jpg")) == name_of(tmp_path / "photos" / "a.jpg")


def test_a_name_that_a_table_cannot_hold_is_refused():
    with pytest.raises(UsageError, match=r"a\\udcff.jpg' is no UTF-8"):
        name_of(Path(os.fsdecode(b"a\xff.jpg")))


def test_images_that_are_named_twice_are_listed_once_and_in_order():
    assert in_order(["b", "a", "b"]) == ["a", "b"]
