import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.cli.count_points import HeadPoints
from sam_mprompt.counting.result import CountResult
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.errors import UsageError

SIZE = (48, 64)
FORMATS = {
    "csv": "annotations.csv",
    "json": "heads.json",
    "coco": "heads.json",
    "label-studio": "heads.json",
    "cvat": "heads.xml",
    "via": "heads.json",
    "labelme": "",
}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate("abc"):
        noise = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    return sorted(folder.iterdir())


def result_of(image):
    """Return as many heads as the image's place in the alphabet says: none in a."""
    density = np.zeros((6, 8), np.float32)
    density.flat[[9, 30][: ord(image.stem) - ord("a")]] = 1
    return CountResult(density, None, SIZE, (8.0, 8.0), image)


def written(path, given, images, only=None):
    heads = HeadPoints(path, given, images, None)
    with heads.writing() as take:
        for image in images if only is None else only:
            take(result_of(image))


@pytest.mark.parametrize("given", FORMATS)
def test_what_was_counted_is_read_as_annotation_of_the_same_images(photos, given):
    folder = photos[0].parent
    written(folder / FORMATS[given], given, photos)
    found = read_split(folder, "train", val_fraction=0)
    assert not found.problems, found.problems.lines()
    assert len(found.samples) == 3
    for sample in found.samples:
        np.testing.assert_allclose(sample.points, result_of(sample.image).points(), atol=0.011)


@pytest.mark.parametrize(
    ("name", "keyword"), [("h.csv", "image,x,y"), ("h.json", '"points"'), ("h.xml", "<annotations>")]
)
def test_the_suffix_says_the_format(photos, tmp_path, name, keyword):
    written(tmp_path / name, None, photos)
    assert keyword in (tmp_path / name).read_text()


def test_labelme_finds_the_images_from_another_folder(photos, tmp_path):
    written(tmp_path / "corrected", "labelme", photos)
    shown = json.loads((tmp_path / "corrected" / "c.json").read_text())
    assert shown["imagePath"] == "../photos/c.png"
    assert (shown["imageHeight"], shown["imageWidth"]) == SIZE
    assert [shape["label"] for shape in shown["shapes"]] == ["head", "head"]


@pytest.mark.parametrize("given", ["csv", "coco", "labelme"])
def test_what_was_counted_before_an_interruption_is_written(photos, tmp_path, given):
    out = tmp_path / ("out" if given == "labelme" else "out.any")

    def count_until_stopped():
        with HeadPoints(out, given, photos, None).writing() as take:
            take(result_of(photos[0]))
            take(result_of(photos[1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_until_stopped()
    if given == "csv":
        assert [row[0] for row in csv.reader(out.open())] == ["image", "a.png", "b.png"]
    elif given == "coco":
        assert len(json.loads(out.read_text())["images"]) == 2
    else:
        assert {path.name for path in out.iterdir()} == {"a.json", "b.json"}


def test_rows_of_a_csv_are_on_the_disk_as_soon_as_there_is_a_count(photos, tmp_path):
    with HeadPoints(tmp_path / "p.csv", None, photos, None).writing() as take:
        take(result_of(photos[0]))
        assert (tmp_path / "p.csv").read_text() == "image,x,y\na.png,,\n"
        take(result_of(photos[1]))
        assert (tmp_path / "p.csv").read_text().endswith("b.png,12.00,12.00\n")


def test_an_interrupted_csv_is_gone_on_with_and_half_an_image_is_written_anew(photos, tmp_path):
    path = tmp_path / "p.csv"
    written(path, None, photos, only=photos[:1])
    with path.open("a") as file:
        file.write("c.png,12.00,12.00\nc.png,5")
    with HeadPoints(path, None, photos, photos[:1]).writing() as take:
        take(result_of(photos[1]))
        take(result_of(photos[2]))
    assert [row[0] for row in csv.reader(path.open())] == ["image", "a.png", "b.png", "c.png", "c.png"]
    with pytest.raises(UsageError, match="goes on with points as csv, not as coco"):
        HeadPoints(tmp_path / "p.json", "coco", photos, photos[:1])


@pytest.mark.parametrize(("path", "given"), [("p.csv", None), ("p.json", "coco"), ("folder", "labelme")])
def test_what_somebody_may_have_corrected_is_never_replaced(photos, tmp_path, path, given):
    written(tmp_path / path, given, photos)
    with pytest.raises(UsageError, match="is there already: expected a new file for head points"):
        HeadPoints(tmp_path / path, given, photos, None)


def test_a_name_that_a_spreadsheet_would_take_for_a_formula_is_found_again(photos):
    strange = photos[1].rename(photos[1].with_name("=1+1.png"))
    folder = strange.parent
    with HeadPoints(folder / "annotations.csv", None, sorted(folder.glob("*.png")), None).writing() as take:
        for image in sorted(folder.glob("*.png")):
            density = np.ones((6, 8), np.float32) / 48
            take(CountResult(density, None, SIZE, (8.0, 8.0), image))
    found = read_split(folder, "train", val_fraction=0)
    assert not found.problems, found.problems.lines()
    assert strange in {sample.image for sample in found.samples}


def test_images_of_one_name_have_their_path_in_a_csv_and_are_refused_elsewhere(photos, tmp_path):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "b.png"
    twin.write_bytes(photos[1].read_bytes())
    written(tmp_path / "p.csv", None, [photos[1], twin])
    assert [row[0] for row in csv.reader((tmp_path / "p.csv").open())][1:] == [photos[1].as_posix(), twin.as_posix()]
    with pytest.raises(UsageError, match=r"would share a name as cvat"):
        HeadPoints(tmp_path / "p.xml", None, [photos[1], twin], None)


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        ("p", None, r"Cannot tell the format of .* expected \.csv, \.json"),
        ("p.csv", "cvta", r"--points-format: expected .*Did you mean 'cvat'"),
        ("p.csv", "voc", "--points-format: expected"),
        ("-", "csv", "expected a file or a folder"),
        ("no/such.txt/p.csv", None, "is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(photos, tmp_path, monkeypatch, path, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "such.txt").write_text("")
    with pytest.raises(UsageError, match=message):
        HeadPoints(Path(path), given, photos, None)


def test_count_writes_the_points_that_python_gives(run_cli, trained_run, crowd_folder, tmp_path):
    images = [crowd_folder / "0.png", crowd_folder / "5.png"]
    done = run_cli("count", trained_run, *images, "--points", tmp_path / "p.json", "--csv", tmp_path / "c.csv")
    assert done.code == 0, done.err
    found = {item["image"]: item["points"] for item in json.loads((tmp_path / "p.json").read_text())}
    counts = {row["image"]: float(row["count"]) for row in csv.DictReader((tmp_path / "c.csv").open())}
    assert found.keys() == {"0.png", "5.png"}
    assert {str(crowd_folder / name): len(points) for name, points in found.items()} == {
        name: round(count) for name, count in counts.items()
    }
    refused = run_cli("count", trained_run, *images, "--points", tmp_path / "p.json")
    assert (refused.code, "is there already" in refused.err) == (2, True)
