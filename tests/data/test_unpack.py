import base64
import io
import json

import numpy as np
import pytest
from crowd_files import folder_of, points, shape, train
from PIL import Image

from sam_mprompt.data.formats.read import recognise
from sam_mprompt.data.unpack import unpack
from sam_mprompt.errors import UsageError


def packed(kind: str = "PNG", **parts: object) -> dict[str, object]:
    """What labelme saves with the image in it."""
    image = io.BytesIO()
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(image, kind)
    data = base64.b64encode(image.getvalue()).decode()
    return {"shapes": [shape("head", [3, 4])], "imagePath": "..\\x.png", "imageData": data, **parts}


def test_images_that_labelme_holds_are_written_beside_its_files_and_read(tmp_path):
    root = folder_of(tmp_path, {"a.json": packed(), "annotations/b.json": packed("WEBP", imagePath="b")}, ())
    assert [path.relative_to(root).as_posix() for path in unpack(root)] == ["a.png", "annotations/b.webp"]
    assert Image.open(root / "a.png").size == (40, 30)
    assert points(root) == {"a.png": [[3, 4]]}


def test_without_them_the_refusal_says_what_writes_them(tmp_path):
    root = folder_of(tmp_path, {"a.json": packed(), "b.json": packed()}, ())
    with pytest.raises(UsageError, match=r"Its \.json files of labelme hold their images") as refused:
        recognise(root)
    assert (refused.value.about, refused.value.facts) == ("embedded images", {"root": root})


def test_an_image_that_only_its_file_holds_is_told_apart_from_one_that_is_missing(tmp_path):
    files = {"a.json": {**packed(), "imageData": None}, "b.json": packed(), "c.json": {**packed(), "imageData": None}}
    split = train(folder_of(tmp_path, files, ("a.png",)))
    assert split.problems.embedded == [tmp_path / "b"]
    assert split.problems.missing_images == [tmp_path / "c"]
    assert split.problems.serious


def test_an_image_that_is_there_stays(tmp_path):
    root = folder_of(tmp_path, {"a.json": packed()}, ("a.JPG",))
    before = (root / "a.JPG").read_bytes()
    assert unpack(root) == []
    assert (root / "a.JPG").read_bytes() == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("%%%", "expected an image in base64"),
        (base64.b64encode(b"no image").decode(), "expected an image; it cannot be read"),
    ],
)
def test_what_is_no_image_is_refused_and_nothing_is_left(tmp_path, data, message):
    root = folder_of(tmp_path, {"a.json": packed(imageData=data)}, ())
    with pytest.raises(UsageError, match=f"a.json' imageData: {message}"):
        unpack(root)
    assert [path.name for path in root.iterdir()] == ["a.json"]


def test_a_folder_without_files_of_labelme_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no \.json of labelme"):
        unpack(folder_of(tmp_path, {"a.json": json.dumps([1])}))
