import os
import zlib

import numpy as np
import pytest
from crowd_files import coco, folder_of, points, train
from scipy.io import savemat

from sam_mprompt.data.formats.entries import collect
from sam_mprompt.data.formats.parsing import read_mat
from sam_mprompt.data.formats.read import list_splits
from sam_mprompt.data.formats.text import MAX_BYTES_OF_ONE_IMAGE, numbered_lines, read_text
from sam_mprompt.errors import UsageError

DIGITS, DEEP = "9" * 5000, "[" * 5000


def reasons(root) -> str:
    """Return the refusal, or what the problems say."""
    try:
        _, splits, _ = list_splits(root, val_fraction=0)
    except UsageError as error:
        return str(error)
    return "; ".join(collect(splits["train"])[1].lines())


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", f'{{"points": [[1, {DIGITS}]]}}', "a.json' is not valid JSON: a number has too many digits"),
        ("annotations.json", f'{{"images": {DIGITS}}}', "is not valid JSON: a number has too many digits"),
        ("annotations.jsonl", f'{{"image": "a", "x": 1, "y": {DIGITS}}}', "line 1 is not valid JSON: a number has too"),
        ("annotations.jsonl", f'{{"image": "a", "x": 1, "y": {DIGITS[:4000]}}}', "line 1: expected rows of 2 numbers"),
        ("annotations.csv", f"a.jpg,1,{DIGITS}", "points outside their image, dropped: 1"),
        ("a.txt", f"1 {DIGITS}", "points outside their image, dropped: 1"),
        ("a.json", DEEP, "a.json' is not valid JSON: nested too deeply"),
        ("annotations.json", DEEP, "is not valid JSON: nested too deeply"),
        ("annotations.jsonl", DEEP, "line 1 is not valid JSON: nested too deeply"),
        ("annotations.jsonl", '{"image": "\\ud800", "x": 1, "y": 2}', "expected the file name of an image"),
        ("annotations.json", coco([], images=[{"id": 1, "file_name": "\ud800"}]), "expected the file name of an image"),
        ("annotations.csv", "A" * 490 + ".jpg,1,2", "expected the file name of an image"),
        ("annotations.csv", "..,1,2", "expected the file name of an image"),
        ("annotations.jsonl", '{"image": "a\\u0000", "x": 1, "y": 2}', "expected the file name of an image"),
        ("annotations.csv", b"a.jpg,1,\xff", "it is not UTF-8 text"),
    ],
)
def test_hostile_text_is_one_line_with_the_reason(tmp_path, name, content, reason):
    found = reasons(folder_of(tmp_path, {name: content}, ["a.jpg"]))
    assert reason in found
    assert "\n" not in found
    assert len(found) < 600


def test_a_list_with_a_name_that_no_file_can_have_is_refused_by_line(tmp_path):
    folder_of(tmp_path, {"a.txt": "1 1", "train.txt": "a\n" + "b" * 300}, ["a.jpg"])
    with pytest.raises(UsageError, match=r"train\.txt' line 2: expected the file name"):
        train(tmp_path)


@pytest.mark.parametrize("name", ["a.txt", "annotations.csv", "annotations.jsonl", "annotations.json", "train.txt"])
def test_every_text_may_begin_with_a_byte_order_mark(tmp_path, name):
    content = {
        "a.txt": "3 4",
        "annotations.csv": "image,x,y\na.jpg,3,4",
        "annotations.jsonl": '{"image": "a", "x": 3, "y": 4}',
        "annotations.json": '{"images": [{"id": 1, "file_name": "a.jpg"}], '
        '"annotations": [{"image_id": 1, "bbox": [2, 3, 2, 2]}]}',
        "train.txt": "a.jpg",
    }[name]
    files: dict[str, object] = {"a.txt": "3 4"} if name == "train.txt" else {}
    folder_of(tmp_path, files | {name: b"\xef\xbb\xbf" + content.encode()}, ["a.jpg"])
    assert points(tmp_path) == {"a.jpg": [[3, 4]]}


def test_a_pipe_instead_of_an_annotation_is_refused_and_not_waited_for(tmp_path):
    folder_of(tmp_path, {}, ["a.jpg"])
    os.mkfifo(tmp_path / "a.txt")
    assert "found a folder, a pipe or a device" in reasons(tmp_path)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    folder_of(tmp_path, {"a.txt": "1 2 3"}, [])
    for read in (read_text, numbered_lines):
        with pytest.raises(UsageError, match="it has 5 bytes; expected at most 4"):
            read(tmp_path / "a.txt", limit=4)


def test_a_table_of_one_image_that_holds_more_than_a_million_heads_is_refused(tmp_path):
    folder_of(tmp_path, {"a.txt": " " * (MAX_BYTES_OF_ONE_IMAGE + 1)}, ["a.jpg"])
    assert f"expected at most {MAX_BYTES_OF_ONE_IMAGE}" in reasons(tmp_path)


def test_a_csv_of_boxes_without_a_header_is_refused_and_with_one_gives_centres(tmp_path):
    folder_of(tmp_path, {"annotations.csv": "a.jpg,1,2,5,6\n"}, ["a.jpg"])
    with pytest.raises(UsageError, match=r"received 5 columns .* without a header that names them"):
        train(tmp_path)
    for header in ("image,x,y,width,height", "image,x,y,w,h"):
        folder_of(tmp_path, {"annotations.csv": f"{header}\na.jpg,1,2,4,6\n"}, [])
        assert points(tmp_path) == {"a.jpg": [[3, 5]]}
    for header in ("image,x,y,x2,y2", "image,x1,y1,x2,y2", "filename,xmin,ymin,xmax,ymax"):
        folder_of(tmp_path, {"annotations.csv": f"{header}\na.jpg,1,2,5,8\n"}, [])
        assert points(tmp_path) == {"a.jpg": [[3, 5]]}
        assert train(tmp_path).samples[0].boxes.tolist() == [[1, 2, 5, 8]]


def test_a_matlab_file_that_unpacks_to_much_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"annPoints": np.zeros((10, 2))})
    head = path.read_bytes()[:128]
    packed = zlib.compress(bytes(80_000_000), 9)
    path.write_bytes(head + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    assert path.stat().st_size < 100_000
    with pytest.raises(UsageError, match="more than 67108864 bytes when unpacked"):
        read_mat(path, "annPoints")
    savemat(path, {"annPoints": np.ones((10, 2))}, do_compression=True)
    assert read_mat(path, "annPoints").shape == (10, 2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_byte_order_mark_says_how_a_text_is_written(tmp_path, encoding):
    content = '{"points": [[3.5, 4]], "label": "tête"}'
    folder_of(tmp_path, {"a.json": content.encode(encoding)}, ["a.jpg"])
    assert points(tmp_path) == {"a.jpg": [[3.5, 4]]}
    assert read_text(tmp_path / "a.json") == content


def test_half_a_character_of_utf_16_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("1 1".encode("utf-16") + b"1")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        read_text(path)
