import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image


def test_data_check_prints_counts_and_writes_previews(run_cli, crowd_folder, tmp_path):
    done = run_cli("data", "check", crowd_folder, "--preview", tmp_path / "p")
    assert done.code == 0, done.err
    assert "train" in done.out
    assert len(list((tmp_path / "p").rglob("*.*"))) >= 3
    assert json.loads(run_cli("data", "check", crowd_folder, "--json").out)


def test_synthesized_scenes_are_a_sound_dataset_with_a_contact_sheet(run_cli, tmp_path):
    splits = ("--train", 3, "--val", 1, "--test", 1)
    done = run_cli("data", "synthesize", tmp_path / "d", *splits, "--sheet", tmp_path / "sheet.png")
    assert done.code == 0, done.err
    assert Image.open(tmp_path / "sheet.png").width > 800
    checked = run_cli("data", "check", tmp_path / "d")
    assert "No problems found" in checked.out
    assert run_cli("data", "synthesize", tmp_path / "d", *splits).code == 2


def folder_of(path, annotations):
    """Images of noise, each with the text of its annotation."""
    path.mkdir()
    for number, (name, text) in enumerate(annotations.items()):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{name}.png")
        if text is not None:
            (path / f"{name}.txt").write_text(text)
    return path


def test_data_check_exits_with_1_where_a_training_would_be_wrong_and_says_where(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n90 90\n", "c": "3 3\n"})
    (root / "train.txt").write_text("a\nb\n")
    (root / "val.txt").write_text("c\n")
    done = run_cli("data", "check", root)
    assert done.code == 1
    assert "points outside their image, dropped: 1 (b.png)" in done.out
    assert "not fit to train on as it is: in train" in done.err
    assert run_cli("data", "check", root, "--json").code == 1
    (root / "b.txt").write_text("2 2\n")
    assert run_cli("data", "check", root).code == 0


def test_data_check_tells_a_picture_that_two_splits_share(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n", "c": "3 3\n"})
    (root / "c.png").write_bytes((root / "a.png").read_bytes())
    (root / "train.txt").write_text("a\nb\n")
    (root / "val.txt").write_text("c\n")
    done = run_cli("data", "check", root)
    assert done.code == 1
    assert "byte for byte" in done.out
    assert "'c.png' is 'a.png' of train" in done.out


def test_data_check_of_a_dataset_of_which_nothing_can_be_used_gives_the_reasons(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "one two", "b": "1 2 3"})
    done = run_cli("data", "check", root)
    assert done.code == 1
    assert "images with a malformed annotation, left out" in done.out
    assert "no annotated image that can be used" in done.err


def test_the_label_that_counts_can_be_named(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": None, "b": None})
    (root / "annotations.csv").write_text("image,x,y,label\na.png,1,1,car\na.png,9,9,tree\nb.png,5,5,car\n")
    assert run_cli("data", "check", root).code == 2
    done = run_cli("data", "check", root, "--label", "car", "--json")
    assert sum(split["heads"] or 0 for split in json.loads(done.out)["splits"].values()) == 2


def test_a_dim_16_bit_image_is_told(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n"})
    Image.fromarray(np.random.default_rng(9).integers(0, 900, (40, 60)).astype(np.uint16)).save(root / "a.png")
    assert "16-bit images that use 14 bits or fewer" in run_cli("data", "check", root).out


def test_data_check_takes_a_limit_on_pixels_and_stretches_dim_images(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n", "c": "3 3\n"})
    (root / "val.txt").write_text("c\n")
    Image.fromarray(np.full((40, 60), 4095, np.uint16)).save(root / "a.png")
    dark = run_cli("data", "check", root)
    assert (dark.code, "dark for it: 1 (a.png)" in dark.out) == (1, True)
    assert run_cli("data", "check", root, "--stretch").code == 0
    limited = run_cli("data", "check", root, "--stretch", "--max-pixels", 60 * 40 - 1, "--preview", tmp_path / "p")
    assert (limited.code, "more than the 2399 accepted" in limited.out) == (1, True)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("stem", [b"n" * 251, "é".encode() * 125, b"caf\xe9"])
def test_previews_of_images_with_any_name_are_all_written(run_cli, tmp_path, stem):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n"})
    (root / "val.txt").write_text("b\n")
    for suffix in (".png", ".txt"):
        (root / f"a{suffix}").rename(root / (os.fsdecode(stem) + suffix))
    done = run_cli("data", "check", root, "--preview", tmp_path / "p")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "p").iterdir())) == 2


def test_data_convert_writes_what_a_tool_reads_and_says_what(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n5 5\n"})
    done = run_cli("data", "convert", root, "--to", "cvat")
    assert done.code == 0, done.err
    assert "2 images, 3 heads" in done.out
    assert f"{tmp_path / 'd-cvat'} (cvat, copies of its images)" in done.out
    assert "(format points, as cvat)" in run_cli("data", "check", tmp_path / "d-cvat").out
    told = json.loads(run_cli("data", "convert", root, "--to", "yolo", "--out", tmp_path / "y", "--link", "--json").out)
    assert (told["images"], told["heads"], told["to"], told["linked"]) == ({"all": 2}, {"all": 3}, "yolo", True)


def test_data_convert_names_the_flags_that_help_and_tells_what_it_left_out(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 two\n"})
    done = run_cli("data", "convert", root, "--to", "labelme", "--out", tmp_path / "out")
    assert done.code == 1
    assert "images with a malformed annotation, left out: 1 (b.png)" in done.out
    assert "1 annotated images of" in done.err
    again = run_cli("data", "convert", root, "--to", "labelme", "--out", tmp_path / "out")
    assert (again.code, "--out, or write into it with --overwrite" in again.err) == (2, True)
    assert run_cli("data", "convert", root, "--to", "labelme", "--out", tmp_path / "out", "--overwrite").code == 1
    (tmp_path / "file").write_text("")
    assert run_cli("data", "convert", root, "--to", "labelme", "--out", tmp_path / "file").code == 2


def test_two_tools_in_one_folder_are_told_apart_by_a_flag(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n"})
    (root / "a.json").write_text('{"points": []}')
    done = run_cli("data", "check", root)
    assert (done.code, "Or choose one with --format: json or txt." in done.err) == (2, True)
    assert run_cli("data", "check", root, "--format", "txt").code == 0


def test_columns_under_other_names_are_refused_with_what_to_say_and_then_read(run_cli, tmp_path):
    root = folder_of(tmp_path / "d", {"a": None, "b": None})
    (root / "export.csv").write_text("photo;cx;cy\na;3,5;4\nb;;\n")
    refused = run_cli("data", "check", root)
    assert refused.code == 2
    assert "found 'photo', 'cx', 'cy'" in refused.err
    assert "--columns image=photo,x=cx,y=cy" in refused.err
    done = run_cli("data", "check", root, "--columns", "image=photo,x=cx,y=cy", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["splits"]["train"]["heads"] == 1
    written = run_cli(
        "data", "convert", root, "--columns", "image=photo,x=cx,y=cy", "--to", "csv", "--out", tmp_path / "c"
    )
    assert written.code == 0, written.err
    assert run_cli("data", "check", tmp_path / "c").code == 0


def test_photographs_in_heic_are_told_with_the_extra_that_reads_them(run_cli, tmp_path, monkeypatch):
    monkeypatch.setattr("sam_mprompt.data.packages.find_spec", lambda name: None)
    root = folder_of(tmp_path / "d", {"a": "1 1\n", "b": "2 2\n"})
    (root / "c.HEIC").write_bytes(b"\0\0\0\x1cftypheic")
    done = run_cli("data", "check", root)
    assert done.code == 0, done.err
    assert (
        "photographs in HEIC, which needs the package 'pillow-heif' (the extra 'heic'), passed over: 1 (c.HEIC)"
        in done.out
    )
    for path in root.iterdir():
        if path.suffix != ".HEIC":
            path.unlink()
    for command in (("data", "check", root), ("count", "adapters/demo", root)):
        refused = run_cli(*command)
        assert refused.code == 2
        assert "pip install 'sam-mprompt[heic]'" in refused.err


def test_images_that_labelme_holds_are_told_and_unpacked(run_cli, tmp_path):
    image = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 9, 9)).save(image, "PNG")
    data = base64.b64encode(image.getvalue()).decode()
    shapes = [{"label": "head", "shape_type": "point", "points": [[3, 4]]}]
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps({"shapes": shapes, "imagePath": "x.png", "imageData": data}))
    refused = run_cli("data", "check", tmp_path)
    assert (refused.code, f"sam-mprompt data unpack {tmp_path}" in refused.err) == (2, True)
    done = run_cli("data", "unpack", tmp_path)
    assert (done.code, done.out) == (0, f"2 images written in {tmp_path}\n")
    (tmp_path / "b.png").unlink()
    checked = run_cli("data", "check", tmp_path)
    assert checked.code == 1
    assert "images that are no files, but held by the files of their annotation, left out: 1 (b)" in checked.out
    assert f"'sam-mprompt data unpack {tmp_path}' writes the images" in checked.out
