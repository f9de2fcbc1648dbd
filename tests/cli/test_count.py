import csv
import json

import numpy as np
import pytest
from PIL import Image


def test_count_prints_a_table_and_writes_csv_and_overlays(run_cli, trained_run, crowd_folder, tmp_path):
    images = [crowd_folder / "0.png", crowd_folder / "5.png"]
    done = run_cli("count", trained_run, *images, "--csv", tmp_path / "c.csv", "--overlay", tmp_path / "o")
    assert done.code == 0, done.err
    assert all(str(image) in done.out for image in images)
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [row["image"] for row in rows] == [str(image) for image in images]
    assert all(float(row["count"]) >= 0 for row in rows)
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"0.jpg", "5.jpg"}


def test_count_takes_folders_and_globs_and_prints_json(run_cli, trained_run, crowd_folder):
    folder = json.loads(run_cli("count", trained_run, crowd_folder, "--json").out)
    glob = json.loads(run_cli("count", trained_run, crowd_folder / "*.png", "--json").out)
    assert len(folder["images"]) == len(glob["images"]) == 11
    assert {row["image"]: row["count"] for row in folder["images"]} == {r["image"]: r["count"] for r in glob["images"]}


def test_overlays_of_images_with_one_name_do_not_overwrite_each_other(run_cli, trained_run, crowd_folder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes((crowd_folder / "5.png").read_bytes())
    assert run_cli("count", trained_run, tmp_path / "a", tmp_path / "b", "--overlay", tmp_path / "o").code == 0
    assert len(list((tmp_path / "o").iterdir())) == 2


def broken_image(path, kind):
    """Write an image of an awkward kind; all but the truncated one must be counted."""
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    if kind == "16-bit":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path)
    elif kind == "palette":
        image.quantize(64).save(path)
    elif kind == "grey":
        image.convert("L").save(path)
    elif kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    elif kind == "truncated":
        image.save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:1500])
    return path


@pytest.mark.parametrize("kind", ["16-bit", "palette", "grey", "exif"])
def test_awkward_images_are_counted(run_cli, trained_run, tmp_path, kind):
    done = run_cli("count", trained_run, broken_image(tmp_path / "x.png", kind), "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)["images"][0]
    assert (row["width"], row["height"]) == ((70, 90) if kind == "exif" else (90, 70))


def test_a_truncated_image_exits_with_2_alone_and_with_1_among_others(run_cli, trained_run, crowd_folder, tmp_path):
    image = broken_image(tmp_path / "cut.jpg", "truncated")
    alone = run_cli("count", trained_run, image)
    assert alone.code == 2
    assert "cut.jpg" in alone.err
    among = run_cli("count", trained_run, crowd_folder / "0.png", image, "--json")
    assert among.code == 1
    assert "1 of 2 images could not be counted" in among.err
    assert len(json.loads(among.out)["images"]) == 1


def test_a_path_without_an_image_is_refused(run_cli, trained_run, tmp_path):
    done = run_cli("count", trained_run, tmp_path / "*.jpg")
    assert (done.code, "expected an image file, a folder of images or a quoted glob" in done.err) == (2, True)


def test_a_base_that_the_adapter_was_not_trained_on_is_refused_and_says_how_to_name_the_right_one(
    run_cli, trained_run, crowd_folder
):
    done = run_cli("count", trained_run, crowd_folder / "0.png", "--base", "random:tiny")
    assert done.code == 2
    assert "is another one" in done.err
    assert "--base" in done.err
