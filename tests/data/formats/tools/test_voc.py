import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.read import read_split
from sam_mprompt.errors import UsageError


def voc(*objects: tuple[str, str], size: tuple[int, int] = (40, 30)) -> str:
    inside = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(
            f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=True)
        )
        + "</bndbox><part><name>nose</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for name, box in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{inside}</annotation>"


def test_an_objects_middle_is_a_head_and_its_parts_are_none(tmp_path):
    root = folder_of(tmp_path, {"a.xml": voc(("head", "2 2 5 6"), ("dog", "0 0 9 9")), "b.xml": voc()})
    assert points(root) == {"a.jpg": [[3.5, 4]], "b.jpg": []}
    assert train(root).samples[0].boxes.tolist() == [[2, 2, 5, 6]]


def test_the_devkits_folders_and_lists_make_the_splits(tmp_path):
    files = {f"Annotations/{name}.xml": voc(("person", "2 2 5 6")) for name in ("a", "b", "c")}
    files |= {"ImageSets/Main/train.txt": "a\n", "ImageSets/Main/val.txt": "b\n", "ImageSets/Main/test.txt": "c\n"}
    root = folder_of(tmp_path, files, [f"JPEGImages/{name}.jpg" for name in "abc"])
    for split, name in (("train", "a.jpg"), ("val", "b.jpg"), ("test", "c.jpg")):
        found = read_split(root, split)
        assert [sample.image.name for sample in found.samples] == [name]
        assert not found.problems


def test_the_stated_size_decides_and_one_of_nothing_states_none(tmp_path):
    large = voc(("head", "4 4 10 12"), size=(80, 60))
    root = folder_of(tmp_path, {"a.xml": large, "b.xml": voc(("head", "2 2 5 6"), size=(0, 0))})
    split = train(root)
    assert [sample.points.tolist() for sample in split.samples] == [[[3.5, 4]], [[3.5, 4]]]
    assert [path.name for path in split.problems.rescaled] == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object><name>head</name></object></annotation>", r"a\.xml' object 0: expected a <bndbox>"),
        (voc(("head", "1 2 3 x")), r"object 0: expected a number as ymax; received 'x'"),
        ("<annotation><object>", r"a\.xml' is not valid XML"),
    ],
)
def test_a_malformed_object_is_refused_by_number(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        train(folder_of(tmp_path, {"a.xml": text, "b.xml": voc()}))
