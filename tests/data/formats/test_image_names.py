import unicodedata
from pathlib import Path

import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.image_names import ImageNames
from sam_mprompt.errors import UsageError

FOLDER = Path("photos")


def names(*images: str) -> ImageNames:
    paths = [FOLDER / image for image in images]
    return ImageNames(paths, list(dict.fromkeys(path.parent for path in paths)))


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg", "a"),
        ("a.JPG", "a.jpg"),
        ("a.jpg", "C:\\photos\\A.jpg"),
        ("a.jpg", "0a1b2c3d-a.jpg"),
        ("=a.jpg", "'=a.jpg"),
        (unicodedata.normalize("NFD", "é.jpg"), "é.jpg"),
        ("a%20b.jpg", "a%20b.jpg"),
    ],
)
def test_the_same_name_is_found_and_nothing_is_told(image, name):
    assert names(image, "other.png").meant(name, "") == (FOLDER / image, "")


@pytest.mark.parametrize(
    ("image", "name", "told"),
    [
        ("a b.jpg", "a%20b.jpg", "called 'a%20b.jpg', as in a web address"),
        ("é.jpg", "%C3%A9", "as in a web address"),
        ("a b.jpg", "0a1b2c3d-a%20b.jpg", "as in a web address"),
        ("a%20b.jpg", "a b.jpg", "as in a web address"),
        ("a b (1).jpg", "0a1b2c3d-a_b_1.jpg", "as Label Studio renames what it is given"),
        ("a.jpg", "a.png", "called 'a.png', with another suffix"),
        ("a.JPG", "a.tiff", "with another suffix"),
        ("a.v2.jpg", "a.v2.png", "with another suffix"),
    ],
)
def test_a_name_that_is_spelt_otherwise_is_found_and_told(image, name, told):
    found = names(image, "other.png").meant(name, "")
    assert (found.image, told in found.told) == (FOLDER / image, True)


@pytest.mark.parametrize("name", ["b.jpg", "a.txt", "a_b_1.jpg", "a.jpg.png"])
def test_what_no_image_is_called_is_missing(name):
    assert names("a b (1).jpg", "a.jpg").meant(name, "") == (FOLDER / name, "")


@pytest.mark.parametrize(("images", "name"), [(("a.jpg", "a.png"), "a"), (("a.jpg", "a.png"), "a.tif")])
def test_a_name_of_two_images_is_refused(images, name):
    with pytest.raises(UsageError, match=r"x says '.*', which may be 'a\.jpg' or 'a\.png'"):
        names(*images).meant(name, "x")


def test_of_several_folders_the_one_that_the_name_says_is_meant():
    found = names("train/a.jpg", "val/a.jpg", "val/b.jpg", "test/c.jpg")
    assert found.meant("images/val/a.jpg", "").image == FOLDER / "val/a.jpg"
    assert found.meant("somewhere/b.jpg", "").image == FOLDER / "val/b.jpg"
    assert found.meant("test/b.jpg", "").image == FOLDER / "test/b.jpg", "missing there, not the one of val"
    with pytest.raises(UsageError, match=r"may be 'train/a\.jpg' or 'val/a\.jpg'"):
        found.meant("a.jpg", "x")


def test_annotations_under_other_spellings_are_read_and_the_image_is_named(tmp_path):
    root = folder_of(tmp_path, {"annotations.csv": "a%20b.png,3,4\nc.jpeg,1,2\n"}, ("a b.png", "c.jpg"))
    split = train(root)
    assert points(root) == {"a b.png": [[3, 4]], "c.jpg": [[1, 2]]}
    assert split.problems.readings == {
        root / "a b.png": "called 'a%20b.png', as in a web address",
        root / "c.jpg": "called 'c.jpeg', with another suffix",
    }
    assert not split.problems.serious


def test_another_suffix_does_not_take_the_image_from_the_one_that_is_called_so(tmp_path):
    root = folder_of(tmp_path, {"annotations.csv": "a.png,1,1\na.jpg,3,4\nb.jpg,,\n"})
    split = train(root)
    assert points(root) == {"a.jpg": [[3, 4]], "b.jpg": []}
    assert split.problems.missing_images == [root / "a.png"]


def test_labels_that_label_studio_names_as_in_an_address_belong_to_their_image(tmp_path):
    root = folder_of(tmp_path, {"labels/d%C3%A9j%C3%A0.txt": "0 0.1 0.2 0.05 0.1\n"}, ("images/déjà.jpg",))
    assert points(root) == {"déjà.jpg": [[4, 6]]}
