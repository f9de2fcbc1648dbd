import csv
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from sam_mprompt.counting.counted import counted
from sam_mprompt.counting.counter import Counter, load
from sam_mprompt.errors import RunError


def _said(done):
    """Lines on stderr, but for those of error bars and of what is unlike the training images, which others test."""
    lines = done.err.splitlines()
    return [line for line in lines if not line.startswith("No error bars: ") and "expect a wrong count" not in line]


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


@pytest.fixture
def photos(crowd_folder, tmp_path):
    """Five small images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        (folder / f"{index}.png").write_bytes((crowd_folder / f"{index}.png").read_bytes())
    return folder


def failing(monkeypatch, image, error):
    """Let every batch that holds an image fail, as a density that is not finite or a full memory does."""
    count_many = Counter.count_many

    def count(self, images, *, batch_size=1, on_error=None):
        images = list(images)
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            if image in batch:
                raise error
            yield from count_many(self, batch, batch_size=batch_size, on_error=on_error)

    monkeypatch.setattr(Counter, "count_many", count)


def csv_of(path):
    return [line.split(",")[0].rpartition("/")[2] for line in path.read_text().splitlines()[1:]]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
@pytest.mark.parametrize("error", [RunError("not finite"), MemoryError(), RuntimeError("can't allocate memory")])
def test_an_image_whose_counting_fails_costs_itself_alone(trained_run, photos, monkeypatch, batch_size, error):
    counter, images, failed = load(trained_run, device="cpu"), sorted(photos.iterdir()), []
    expected = {image: counter.count(image).count for image in images}
    failing(monkeypatch, images[2], error)
    found = list(counted(counter, images, batch_size=batch_size, on_error=lambda image, why: failed.append(image)))
    assert [result.image for result in found] == [*images[:2], *images[3:]]
    assert all(result.count == pytest.approx(expected[result.image], rel=1e-5) for result in found)
    assert failed == [images[2]]


def test_what_is_a_fault_of_ours_ends_the_counting(trained_run, photos, monkeypatch):
    failing(monkeypatch, photos / "0.png", RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(counted(load(trained_run, device="cpu"), [photos / "0.png"], batch_size=1, on_error=print))


def test_what_was_counted_before_ctrl_c_is_printed_and_written_and_the_rest_is_counted_when_resumed(
    run_cli, trained_run, photos, tmp_path, monkeypatch
):
    out = tmp_path / "c.csv"
    whole = run_cli("count", trained_run, photos, "--csv", tmp_path / "whole.csv")
    for more in ([], ["--json"]):
        with monkeypatch.context() as patched:
            failing(patched, photos / "3.png", KeyboardInterrupt())
            stopped = run_cli("count", trained_run, photos, "--csv", out, *more)
        assert stopped.code == 130
        assert "3 of 5 images were counted" in stopped.err
        assert csv_of(out) == ["0.png", "1.png", "2.png"]
        if more:
            assert len(json.loads(stopped.out)["images"]) == 3
        else:
            assert stopped.out.splitlines() == whole.out.splitlines()[:4]
    with out.open("a") as file:  # a row that a kill has cut
        file.write(f"{photos / '3.png'},1")
    resumed = run_cli("count", trained_run, photos, "--csv", out, "--resume-csv")
    assert resumed.code == 0, resumed.err
    assert "3 of 5 images are in" in resumed.err
    assert out.read_text() == (tmp_path / "whole.csv").read_text()
    assert run_cli("count", trained_run, photos, "--csv", out, "--resume-csv").code == 0
    assert out.read_text() == (tmp_path / "whole.csv").read_text()


def test_a_picture_that_cannot_be_drawn_costs_a_line_and_its_count_stays(run_cli, trained_run, photos, tmp_path):
    Image.new("RGB", (66_000, 8)).save(photos / "wide.png")
    (tmp_path / "o" / "1.jpg").mkdir(parents=True)
    done = run_cli("count", trained_run, photos, "--overlay", tmp_path / "o", "--csv", tmp_path / "c.csv")
    assert done.code == 1
    assert "expected at most 65500 a side" in done.err
    assert "2 of 6 images could not be drawn" in done.err
    assert len(csv_of(tmp_path / "c.csv")) == 6
    assert len([path for path in (tmp_path / "o").iterdir() if path.is_file()]) == 4


def test_csv_into_standard_output_replaces_the_table(run_cli, trained_run, photos):
    done = run_cli("count", trained_run, photos, "--csv", "-")
    assert [row["image"] for row in csv.DictReader(done.out.splitlines())] == [str(p) for p in sorted(photos.iterdir())]
    assert run_cli("count", trained_run, photos, "--csv", "-", "--json").code == 2


@pytest.mark.parametrize(
    ("held", "said"), [("name,heads\n", "expected 'image,count'"), ("image,count\na.jpg,many\n", "line 2")]
)
def test_a_file_that_holds_other_things_is_not_added_to(run_cli, trained_run, photos, tmp_path, held, said):
    (tmp_path / "c.csv").write_text(held)
    done = run_cli("count", trained_run, photos, "--csv", tmp_path / "c.csv", "--resume-csv")
    assert (done.code, said in done.err) == (2, True)
    assert (tmp_path / "c.csv").read_text() == held
    assert run_cli("count", trained_run, photos, "--resume-csv").code == 2


def test_names_that_a_spreadsheet_would_run_are_text_in_the_csv_and_known_when_resumed(
    run_cli, trained_run, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(photos)
    (photos / "0.png").rename(photos / "=1+1.png")
    for _ in range(2):
        done = run_cli("count", trained_run, "=1+1.png", "1.png", "--csv", tmp_path / "c.csv", "--resume-csv")
        assert done.code == 0, done.err
        assert csv_of(tmp_path / "c.csv") == ["'=1+1.png", "1.png"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["count", "none", "x.jpg", "--csv", "FILE/x.csv"],
        ["count", "none", "x.jpg", "--csv", "FOLDER"],
        ["count", "none", "x.jpg", "--csv", ""],
        ["count", "none", "x.jpg", "--overlay", "FILE"],
        ["evaluate", "none", "--data", "d", "--json", "FOLDER"],
        ["evaluate", "none", "--data", "d", "--submission", "FOLDER"],
        ["evaluate", "none", "--data", "d", "--locations", "FILE/x"],
        ["evaluate", "none", "--data", "d", "--worst", "FILE"],
        ["compare", "none", "none", "x.jpg", "--out", "sheet.gif"],
        ["compare", "none", "none", "x.jpg", "--out", "FILE/x.jpg"],
        ["export", "none", "--to", "FILE/x"],
        ["masks", "--source", "points", "--data", "d", "--out", "FILE"],
        ["finetune", "--recipe", "demo", "--out", "FILE/x"],
        ["pretrain", "--recipe", "sam-tiny", "--out", "FILE/x"],
        ["ablate", "--recipe", "demo", "--out", "FILE"],
        ["data", "synthesize", "d", "--sheet", "FOLDER/x.gif"],
        ["data", "synthesize", "FILE"],
        ["data", "check", "d", "--preview", "FILE"],
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_else(run_cli, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("kept")
    (tmp_path / "FOLDER").mkdir()
    done = run_cli(*arguments)
    assert done.code == 2
    assert "Cannot write" in done.err or "cannot be written" in done.err
    assert (tmp_path / "FILE").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FILE", "FOLDER"]


def test_the_limit_on_pixels_is_stated_and_may_be_raised_and_lowered(run_cli, trained_run, photos, tmp_path):
    Image.new("RGB", (300, 200)).save(photos / "big.png")
    alone = run_cli("count", trained_run, photos / "big.png", "--max-pixels", 59_999)
    assert alone.code == 2
    assert "300x200 pixels, more than the 59999 accepted" in alone.err
    assert "--max-pixels N" in alone.err
    among = run_cli("count", trained_run, photos, "--max-pixels", 59_999, "--csv", tmp_path / "c.csv")
    assert (among.code, len(csv_of(tmp_path / "c.csv"))) == (1, 5)
    assert "1 of 6 images could not be counted" in among.err
    assert run_cli("count", trained_run, photos / "big.png", "--max-pixels", 60_000).code == 0
    assert run_cli("count", trained_run, photos / "big.png", "--max-pixels", 0).code == 2


def test_a_jpeg_above_the_limit_that_is_shrunk_anyway_is_counted_and_drawn_as_a_smaller_copy(
    run_cli, trained_run, tmp_path
):
    pixels = np.random.default_rng(0).integers(0, 90, (160, 8192, 3)).astype(np.uint8)
    Image.fromarray(cv2.GaussianBlur(pixels, (0, 0), 5) * 3).save(tmp_path / "wide.jpg", quality=95)
    asked = ["count", trained_run, tmp_path / "wide.jpg", "--json"]
    [whole] = json.loads(run_cli(*asked).out)["images"]
    copied = run_cli(*asked, "--max-pixels", 4096 * 80, "--overlay", tmp_path / "o")
    assert copied.code == 0, copied.err
    assert _said(copied) == [
        f"sam-mprompt: Image '{tmp_path / 'wide.jpg'}' has 8192x160 pixels, more than accepted: a smaller copy of "
        "4096x80 is read."
    ]
    [row] = json.loads(copied.out)["images"]
    assert (row["width"], row["height"]) == (8192, 160)
    assert row["count"] == pytest.approx(whole["count"], rel=0.01)
    assert Image.open(tmp_path / "o" / "wide.jpg").size == (4096, 80)
    assert run_cli(*asked, "--max-pixels", 1024 * 20 - 1).code == 2


def test_what_is_passed_over_in_a_folder_and_behind_a_first_page_is_named(run_cli, trained_run, photos, monkeypatch):
    monkeypatch.setattr("sam_mprompt.data.image.reads_heic", lambda: False)
    for name in ("IMG_1.HEIC", "b.gif"):
        (photos / name).touch()
    page = Image.open(photos / "0.png")
    page.save(photos / "scan.tif", save_all=True, append_images=[page])
    page.convert("RGB").save(photos / "d.jfif", format="JPEG")
    done = run_cli("count", trained_run, photos, "--json")
    assert done.code == 0, done.err
    assert _said(done) == [
        "Passed over, as it reads no such files: 2 files (IMG_1.HEIC, b.gif).",
        "Only the first page or frame was counted of 1 file (scan.tif).",
    ]
    shown = json.loads(done.out)
    assert len(shown["images"]) == 7
    assert shown["passed_over"] == [str(photos / "IMG_1.HEIC"), str(photos / "b.gif")]


def test_images_of_a_camera_with_12_bits_are_told_once_and_count_as_their_8_bits_do_when_stretched(
    run_cli, trained_run, photos, tmp_path
):
    (tmp_path / "camera").mkdir()
    for index in range(3):
        grey = np.asarray(Image.open(photos / f"{index}.png").convert("L"))
        grey = np.where(grey == grey.max(), 255, grey).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{index}.png")
        Image.fromarray((grey.astype(np.float64) * 4095 / 255).round().astype(np.uint16)).save(
            tmp_path / "camera" / f"{index}.png"
        )
    expected = json.loads(run_cli("count", trained_run, tmp_path / "*.png", "--json").out)["images"]
    dark = run_cli("count", trained_run, tmp_path / "camera", "--json")
    assert [("uses 12 of its 16 bits" in line, "2 other images" in line) for line in _said(dark)] == [
        (True, False),
        (False, True),
    ]
    bright = run_cli("count", trained_run, tmp_path / "camera", "--stretch", "--json")
    assert _said(bright) == []
    counts = [row["count"] for row in json.loads(bright.out)["images"]]
    assert counts == pytest.approx([row["count"] for row in expected], rel=1e-5)
    assert counts != pytest.approx([row["count"] for row in json.loads(dark.out)["images"]], rel=1e-3)
