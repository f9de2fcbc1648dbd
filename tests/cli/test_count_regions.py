import csv
import json

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.cli.count_regions import CountedRegions
from sam_mprompt.cli.error_bars import ErrorBars
from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.counting.result import CountResult
from sam_mprompt.errors import UsageError

SIZE = (48, 64)
LEFT = "left,0,0\nleft,32,0\nleft,32,48\nleft,0,48\n"
RIGHT = "right,32,0\nright,64,0\nright,64,48\nright,32,48\n"
CALIBRATED = Calibration.fit(np.arange(40) + 2.0, np.arange(40))


def table(path, *rows, header="name,x,y"):
    path.write_text(header + "\n" + "".join(rows))
    return path


def valued(rows, *values):
    """Corners with further cells in the first row."""
    first, rest = rows.split("\n", 1)
    return "\n".join([",".join([first, *values]), rest])


def result(image="a.png", heads=(9, 30), size=SIZE):
    """Heads in cells of 8 x 8 pixels: cells 9 and 30 of 6 x 8 are on the left and on the right."""
    density = np.zeros((6, 8), np.float32)
    density.flat[list(heads)] = 1
    return CountResult(density, None, size, (size[1] / 8, size[0] / 6), image, CALIBRATED)


def printed(capsys, regions, *results, calibration=None):
    bars = ErrorBars(calibration or Calibration(), of_parts=regions.regions.ignores)
    tell = regions.printed([found.image for found in results], bars)
    for found in results:
        tell(found)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def photos(tmp_path):
    """Three images of 64 x 48."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate("abc"):
        noise = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    return folder


def test_few_regions_are_columns_of_the_table(tmp_path, capsys):
    regions = CountedRegions(table(tmp_path / "r.csv", LEFT, RIGHT))
    lines = printed(capsys, regions, result("a.png", (9, 10, 30)), result("bb.png", ()))
    assert [line.split() for line in lines] == [
        ["image", "count", "left", "right", "elsewhere"],
        ["a.png", "3.0", "2.0", "1.0", "0.0"],
        ["bb.png", "0.0", "0.0", "0.0", "0.0"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_a_table_of_many_regions_has_a_row_for_each_and_stays_within_80_columns(tmp_path, capsys):
    halves = LEFT.replace("48", "24"), LEFT.replace(",0\n", ",24\n")
    rows = [half.replace("left", f"a region of some length {number}") for number, half in enumerate(halves)]
    lines = printed(capsys, CountedRegions(table(tmp_path / "r.csv", RIGHT, *rows)), result())
    assert [line.rsplit(maxsplit=1) for line in lines] == [
        ["image", "count"],
        ["a.png", "2.0"],
        ["  right", "1.0"],
        ["  a region of some length 0", "1.0"],
        ["  a region of some length 1", "0.0"],
        ["  elsewhere", "0.0"],
    ]
    assert max(map(len, lines)) <= 80


def test_people_per_square_metre_have_a_column(tmp_path, capsys):
    path = table(tmp_path / "r.csv", valued(LEFT, "4"), RIGHT, header="name,x,y,area_m2")
    lines = printed(capsys, CountedRegions(path), result())
    assert [line.split() for line in lines] == [
        ["image", "count", "per", "m2"],
        ["a.png", "2.0"],
        ["left", "1.0", "0.25"],
        ["right", "1.0"],
        ["elsewhere", "0.0"],
    ]
    assert CountedRegions(path).columns == ["left", "right", "elsewhere", "left per m2"]
    assert CountedRegions(path).cells(result()) == ["1.0000", "1.0000", "0.0000", "0.2500"]


def test_what_is_ignored_is_left_out_of_the_count_which_then_has_no_error_bars(tmp_path, capsys):
    path = table(tmp_path / "r.csv", LEFT, valued(RIGHT, "yes"), header="name,x,y,ignore")
    regions = CountedRegions(path)
    lines = printed(capsys, regions, result(heads=(9, 29, 30)), calibration=CALIBRATED)
    assert [line.split() for line in lines] == [
        ["image", "count", "left", "elsewhere", "ignored"],
        ["a.png", "1.0", "1.0", "0.0", "2.0"],
    ]
    bars = ErrorBars(CALIBRATED, of_parts=True)
    assert bars.why_not() == (
        "No error bars: counts leave out ignore zones, and the errors that are known are those of whole images."
    )
    assert bars.record(result())["interval"] is None
    assert regions.announcement([]) == [f"Counts leave out 1 ignore zone of '{path}'."]
    np.testing.assert_allclose(regions.points(result()), [[12, 12]])


def test_error_bars_are_those_of_the_whole_image(tmp_path, capsys):
    lines = printed(capsys, CountedRegions(table(tmp_path / "r.csv", LEFT)), result(), calibration=CALIBRATED)
    assert lines[1].startswith("a.png  ")
    assert "2 (90 %: " in lines[1]
    assert lines[1].count("%") == 1
    assert lines[1].split()[-2:] == ["1.0", "1.0"]


def test_json_has_an_object_for_each_image(tmp_path):
    path = table(tmp_path / "r.csv", valued(LEFT, "4"), RIGHT, header="name,x,y,area_m2")
    found = CountedRegions(path).as_dict(result())
    assert (
        found
        == json.loads(json.dumps(found))
        == {
            "count": 2,
            "regions": [
                {"name": "left", "count": 1, "area_m2": 4, "per_m2": 0.25},
                {"name": "right", "count": 1, "area_m2": None, "per_m2": None},
            ],
            "elsewhere": 0,
            "ignored": None,
            "counted_twice": 0,
        }
    )


def test_regions_of_one_image_leave_cells_of_others_empty_and_both_sides_that_lack_are_told(tmp_path, photos):
    text = LEFT.replace("left", "a.png,left") + RIGHT.replace("right", "q.png,right")
    regions = CountedRegions(table(tmp_path / "r.csv", text, header="image,name,x,y"))
    images = sorted(photos.iterdir())
    [line] = regions.announcement(images)
    assert "has regions of images that are not among these: 1 file (q.png)" in line
    assert regions.cells(result(images[0])) == ["1.0000", "", "1.0000"]
    assert regions.cells(result(images[1])) == ["", "", "2.0000"]
    assert "has no regions of 1 file (b.png)" in regions.conclusion()[0]


def test_images_of_another_size_are_refused_unless_the_size_that_was_drawn_in_is_stated(tmp_path):
    regions = CountedRegions(table(tmp_path / "r.csv", LEFT))
    regions.counts(result())
    with pytest.raises(UsageError, match=r"'b\.png' has 128x96 pixels, 'a\.png' 64x48: which of them were"):
        regions.counts(result("b.png", size=(96, 128)))
    stated = CountedRegions(table(tmp_path / "s.csv", valued(LEFT, "64", "48"), header="name,x,y,width,height"))
    assert stated.counts(result())["left"].count == stated.counts(result("b.png", size=(96, 128)))["left"].count == 1


@pytest.mark.parametrize("name", ["count", "Image", "elsewhere", "level", "left per m2"])
def test_a_region_called_as_a_column_is_refused(tmp_path, name):
    rows = valued(LEFT, "4"), RIGHT.replace("right", name)
    with pytest.raises(UsageError, match=f"a region cannot be called '{name}'"):
        CountedRegions(table(tmp_path / "r.csv", *rows, header="name,x,y,area_m2"))


def test_count_writes_regions_everywhere_and_goes_on_with_the_same_columns_only(run_cli, trained_run, photos, tmp_path):
    path = table(tmp_path / "r.csv", LEFT, valued(RIGHT, "yes"), header="name,x,y,ignore")
    out, heads = tmp_path / "c.csv", tmp_path / "p.csv"
    options = ["--regions", path, "--csv", out, "--points", heads, "--overlay", tmp_path / "o"]
    done = run_cli("count", trained_run, photos / "a.png", photos / "b.png", *options)
    assert done.code == 0, done.err
    assert "Counts leave out 1 ignore zone" in done.err
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == ["image", "count", "left", "elsewhere", "ignored"]
    for row in rows:
        assert float(row["left"]) + float(row["elsewhere"]) == pytest.approx(float(row["count"]), abs=2e-4)
    assert all(float(row["x"] or 0) < 32 for row in csv.DictReader(heads.open()))
    assert {found.name for found in (tmp_path / "o").iterdir()} == {"a.jpg", "b.jpg"}

    other = run_cli("count", trained_run, photos, "--csv", out, "--resume-csv")
    assert other.code == 2
    assert "expected 'image,count' in its first line" in other.err
    again = run_cli("count", trained_run, photos, "--regions", path, "--csv", out, "--resume-csv", "--json")
    assert again.code == 0, again.err
    assert [row["image"][-5:] for row in csv.DictReader(out.open())] == ["a.png", "b.png", "c.png"]
    [row] = json.loads(again.out)["images"]
    assert row["count"] == pytest.approx(row["regions"][0]["count"] + row["elsewhere"])
    assert row["interval"] is None


def test_an_image_that_its_regions_do_not_fit_costs_itself_alone(run_cli, trained_run, photos, tmp_path):
    Image.fromarray(np.zeros((60, 64, 3), np.uint8)).save(photos / "b.png")
    done = run_cli("count", trained_run, photos, "--regions", table(tmp_path / "r.csv", LEFT), "--json")
    assert done.code == 1
    assert "b.png' has 64x60 pixels" in done.err
    assert [row["image"][-5:] for row in json.loads(done.out)["images"]] == ["a.png", "c.png"]


def test_a_file_of_no_regions_is_refused_before_anything_is_loaded(run_cli, photos, tmp_path):
    done = run_cli("count", "no-such-adapter", photos, "--regions", table(tmp_path / "r.csv"))
    assert (done.code, "holds no region" in done.err) == (2, True)


def test_evaluate_takes_the_same_regions(run_cli, trained_run, crowd_folder, tmp_path):
    path = table(tmp_path / "r.csv", LEFT, valued(RIGHT, "yes"), header="name,x,y,ignore")
    plain = run_cli("evaluate", trained_run, "--data", crowd_folder, "--json", tmp_path / "plain.json")
    done = run_cli("evaluate", trained_run, "--data", crowd_folder, "--regions", path, "--json", tmp_path / "e.json")
    assert (plain.code, done.code) == (0, 0), done.err
    whole, parts = (json.loads((tmp_path / name).read_text()) for name in ("plain.json", "e.json"))
    assert list(parts["regions"]) == ["left", "elsewhere"]
    assert "regions" not in whole
    assert sum(row["actual"] for row in parts["rows"]) < sum(row["actual"] for row in whole["rows"])
    assert "left" in done.out
    assert "ignore zones" in parts["why_no_interval"]
