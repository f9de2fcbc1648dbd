import pytest
from crowd_files import folder_of, points, train

from sam_mprompt.data.formats.read import tools_of
from sam_mprompt.data.formats.tools.cell_counter import read_markers
from sam_mprompt.errors import UsageError


def saved(image: str, *types: tuple[str, list[tuple[int, int, int]]]) -> str:
    """What Cell Counter saves: types by number, with a name in newer versions."""
    kinds = [
        f"<Marker_Type><Type>{number}</Type>{name}"
        + "".join(
            f"<Marker><MarkerX>{x}</MarkerX><MarkerY>{y}</MarkerY><MarkerZ>{z}</MarkerZ></Marker>"
            for x, y, z in markers
        )
        + "</Marker_Type>"
        for number, (name, markers) in enumerate(types, start=1)
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<CellCounter_Marker_File>\n'
        f"<Image_Properties><Image_Filename>{image}</Image_Filename></Image_Properties>\n"
        f"<Marker_Data><Current_Type>0</Current_Type>{''.join(kinds)}</Marker_Data>\n</CellCounter_Marker_File>"
    )


def test_markers_are_read_under_the_name_that_the_plugin_proposes(tmp_path):
    files = {
        "CellCounter_a.xml": saved("a.jpg", ("", [(3, 4, 1), (10, 2, 1)]), ("", [])),
        "CellCounter_b.xml": saved("b.jpg", ("", [])),
    }
    root = folder_of(tmp_path, files)
    assert tools_of(root, "points") == ("cell-counter",)
    assert points(root) == {"a.jpg": [[3, 4], [10, 2]], "b.jpg": []}


def test_types_are_labels_by_name_or_number(tmp_path):
    types = ("<Name>neuron</Name>", [(3, 4, 1)]), ("", [(5, 6, 1)])
    root = folder_of(tmp_path, {"CellCounter_a.xml": saved("a.jpg", *types), "b.xml": saved("b.jpg")})
    with pytest.raises(UsageError, match=r"several labels \(Type 2, neuron\)"):
        train(root)
    assert points(root, label="neuron")["a.jpg"] == [[3, 4]]
    assert points(root, label="type 2")["a.jpg"] == [[5, 6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (saved("c.jpg", ("", [(1, 1, 1)])), "that it is called after; found 'c.jpg'"),
        (saved("a.jpg", ("", [(1, 1, 1), (1, 1, 2)])), "found those of 2 slices"),
        (saved("a.jpg", ("", [("x", 1, 1)])), "'Type 1' marker 0: expected a number as MarkerX; received 'x'"),
        (saved("a.jpg", ("<Name>n</Name>", []), ("<Name>n</Name>", [])), "received 'n' twice"),
        ("<CellCounter_Marker_File>", "is not valid XML"),
    ],
)
def test_what_is_not_of_one_image_is_refused(tmp_path, text, message):
    path = tmp_path / "CellCounter_a.xml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_markers(path)
