"""`count --engine ray`: the tables hold what `count` counts, and a killed command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bucket import bucket
from PIL import Image
from pooling_backend import MEAN
from pooling_file import pooling_file
from small_job import made_elsewhere, photographs

from sam_mprompt.cli import count_ray
from sam_mprompt.cli.count_ray import _listed
from sam_mprompt.data.formats.tools.own_files import csv_rows
from sam_mprompt.distributed.counting import Counting, HowToCount, fingerprint
from sam_mprompt.distributed.job import IMAGE

pytestmark = pytest.mark.usefixtures("ray_folder")
PATIENCE = 300


def table(folder):
    """The rows of a job, in the order of its parts."""
    import pyarrow.parquet as pq

    return [row for file in sorted((folder / "rows").iterdir()) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--engine", "ray"], "--engine ray needs --to DIR"),
        (["--to", "out"], "--to needs --engine ray"),
        (["--image-timeout", "60"], "--image-timeout needs --engine ray"),
        (["--points-column"], "--points-column needs --engine ray"),
        (["--engine", "ray", "--to", "out", "--points", "a.csv"], "expected no --points, which the local engine has. "),
        (["--engine", "ray", "--to", "out", "--csv", "a.csv"], "expected no --csv"),
        (["--engine", "ray", "--to", "out", "--every", "1s"], "expected no --every"),
        (["--engine", "ray", "--to", "out", "--regions", "a.geojson"], "expected no --regions"),
        (["--engine", "ray", "--to", "no-such-kind://out"], "Cannot open 'no-such-kind://out'"),
    ],
)
def test_a_mistake_ends_with_2_and_a_line_and_starts_nothing(run_cli, tmp_path, words, line):
    adapter = pooling_file(tmp_path / "a.onnx")
    outcome = run_cli("count", adapter, photographs(tmp_path / "photos", 1), *words)
    assert outcome.code == 2
    assert line in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_without_the_extra_a_line_says_how_to_install_it(run_cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    adapter = pooling_file(tmp_path / "a.onnx")
    to = tmp_path / "out"
    outcome = run_cli("count", adapter, photographs(tmp_path / "photos", 1), "--engine", "ray", "--to", to)
    assert outcome.code == 2
    assert "pip install 'sam-mprompt[ray]'" in outcome.err
    assert not to.exists()


def test_images_of_folders_and_of_object_stores_make_one_list(tmp_path):
    import fsspec

    photos = photographs(tmp_path / "photos", 2)
    bucket = fsspec.filesystem("memory")
    bucket.put(str(photos / "000.png"), "/bucket/x.png")
    try:
        listed = _listed([str(photos), "memory://bucket", str(photos / "*.png")])
        assert listed.column(IMAGE).to_pylist() == [
            *(str(photos / name) for name in ("000.png", "001.png")), "memory:///bucket/x.png"
        ]  # fmt: skip
    finally:
        bucket.rm("/bucket", recursive=True)


def rows_of(adapter, images, **how):
    how = HowToCount((str(adapter),), **how)
    counting = Counting(how, how.request()["fingerprints"], "cpu")
    return {row[IMAGE]: row for row in counting.rows(images)}


def test_an_image_of_an_object_store_counts_as_the_same_file_does(tmp_path):
    import fsspec

    adapter, photos = pooling_file(tmp_path / "a.onnx"), photographs(tmp_path / "photos", 20)
    bucket = fsspec.filesystem("memory")
    names = [f"{number:03}.png" for number in range(20)]
    for name in names:
        bucket.put(str(photos / name), f"/bucket/{name}")
    bucket.pipe_file("/bucket/text.png", b"no image")
    try:
        here = rows_of(adapter, [str(photos / name) for name in names])
        there = rows_of(adapter, [f"memory:///bucket/{name}" for name in [*names, "text.png", "gone.png"]])
    finally:
        bucket.rm("/bucket", recursive=True)
    assert {row["count"] for row in here.values()} == {row["count"] for row in there.values() if "count" in row}
    assert "memory:///bucket/text.png" in there["memory:///bucket/text.png"]["quarantined"]
    assert "No image can be read" in there["memory:///bucket/gone.png"]["quarantined"]


def test_images_of_one_size_stand_side_by_side_and_every_one_is_counted(tmp_path):
    adapter, photos = pooling_file(tmp_path / "a.onnx"), photographs(tmp_path / "photos", 7)
    images = [str(photo) for photo in sorted(photos.iterdir())]
    together, alone = rows_of(adapter, images, batch_size=4), rows_of(adapter, images)
    assert [row["height"] for row in together.values()] == [40, 40, 40, 41, 41, 42, 42]
    assert {i: row["count"] for i, row in together.items()} == pytest.approx({i: r["count"] for i, r in alone.items()})


def test_a_machine_with_another_adapter_of_the_name_refuses_to_count(tmp_path):
    adapter = pooling_file(tmp_path / "a.onnx")
    known = fingerprint(str(adapter))
    pooling_file(adapter, heads=0.02)
    with pytest.raises(ValueError, match="of this machine is another one"):
        Counting(HowToCount((str(adapter),)), [known], "cpu")


def test_heads_are_a_list_a_row_which_is_empty_where_there_is_nobody(tmp_path):
    adapter, photos = pooling_file(tmp_path / "a.onnx"), photographs(tmp_path / "photos", 1)
    Image.new("RGB", (50, 40), tuple(round(255 * mean) for mean in MEAN)).save(photos / "nobody.png")
    rows = rows_of(adapter, [str(photos / name) for name in ("000.png", "nobody.png")], points=True)
    some, none = rows.values()
    assert (len(some["x"]), len(some["y"])) == (round(some["count"]),) * 2
    assert (round(none["count"]), len(none["x"]), len(none["y"])) == (0, 0, 0)


def test_an_image_whose_heads_cannot_be_placed_is_quarantined(tmp_path):
    adapter, photos = pooling_file(tmp_path / "a.onnx", heads=1e3), photographs(tmp_path / "photos", 1)
    [row] = rows_of(adapter, [str(photos / "000.png")], points=True).values()
    assert "Expected at most a head in each of 50x40 pixels" in row["quarantined"]


@pytest.mark.slow
def test_the_tables_hold_what_count_counts_bit_for_bit_and_why_an_image_has_no_count(run_cli, tmp_path):
    photos = photographs(tmp_path / "photos", 5)
    (photos / "text.png").write_text("no image")
    words = "adapters/demo", photos, "adapters/demo/examples/plaza.jpg", "--device", "cpu"
    heads = tmp_path / "heads.csv"
    local = json.loads(run_cli("count", *words, "--json", "--points", heads).out)["images"]
    to = tmp_path / "out"
    how = "--engine", "ray", "--to", to, "--points-column"
    told = run_cli("count", *words, *how, "--actors", 2, "--part-size", 2, "--json")
    assert told.code == 0
    summary = json.loads(told.out)
    assert (summary["images"], summary["quarantined"]) == (7, 1)
    rows = {row["image"]: row for row in table(to)}
    assert len(rows) == 7
    assert "Quarantined: " in told.err
    text = rows.pop(str(photos / "text.png"))
    assert (text["count"], text["x"], "text.png" in text["quarantined"]) == (None, None, True)
    named = [csv_rows(Path(row["image"]).name, list(zip(row["x"], row["y"], strict=True))) for row in rows.values()]
    assert sorted("".join(named).splitlines()) == sorted(heads.read_text().splitlines()[1:])
    for image in local:
        row = rows.pop(str(Path(image["image"]).absolute()))
        assert (row["count"], row["width"], row["height"]) == (image["count"], image["width"], image["height"])
    assert not rows

    other = run_cli("count", pooling_file(tmp_path / "a.onnx"), *words[1:], *how)
    assert other.code == 2
    assert "holds another job: expected" in other.err


def test_adapter_and_base_that_are_named_as_seen_from_here_are_found_by_machines_elsewhere(
    run_cli, trained_run, tiny_base, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name, file in {"run": trained_run, "base.safetensors": tiny_base}.items():
        (tmp_path / name).symlink_to(file)
    made_elsewhere(monkeypatch, count_ray, tmp_path.parent)
    words = "count", "run", photographs(tmp_path / "photos", 1), "--base", "base.safetensors", "--device", "cpu"
    assert "made elsewhere" in run_cli(*words, "--engine", "ray", "--to", "out").err


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_and_every_image_has_one_row(run_cli, tmp_path):
    adapter, photos, to = pooling_file(tmp_path / "a.onnx"), photographs(tmp_path / "photos", 60), tmp_path / "out"
    words = ["count", adapter, photos, "--engine", "ray", "--to", to, "--actors", "1", "--part-size", "1"]
    command = subprocess.Popen(
        [sys.executable, "-m", "sam_mprompt", *map(str, words)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE
    rows = to / "rows"
    while command.poll() is None and not (rows.is_dir() and any(rows.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    done = {file.name: file.stat().st_mtime_ns for file in rows.iterdir() if file.suffix == ".parquet"}
    assert 0 < len(done) < 60

    again = run_cli(*words)
    assert again.code == 0, again.err
    assert "of 60 images are in" in again.err
    assert [row["image"] for row in table(to)] == [str(photo) for photo in sorted(photos.iterdir())]
    assert {name: (rows / name).stat().st_mtime_ns for name in done} == done
    local = run_cli("count", adapter, photos, "--json")
    assert [row["count"] for row in table(to)] == [image["count"] for image in json.loads(local.out)["images"]]


@pytest.mark.slow
def test_a_split_is_evaluated_as_in_one_process(run_cli, crowd_folder, tmp_path):
    adapter, told = pooling_file(tmp_path / "a.onnx"), {}
    for engine in ("local", "ray"):
        words = ["evaluate", adapter, "--data", crowd_folder, "--split", "train", "--json", tmp_path / f"{engine}.json"]
        ended = run_cli(*words, *(["--engine", "ray", "--to", tmp_path / "out"] if engine == "ray" else []))
        assert ended.code == 0, ended.err
        told[engine] = json.loads((tmp_path / f"{engine}.json").read_text())
    assert told["ray"] == told["local"]
    assert told["ray"]["metrics"]["mae"] > 0


@pytest.mark.slow
def test_images_of_an_object_store_are_counted_into_one(run_cli, tmp_path, monkeypatch):
    store = tmp_path / "store"
    photographs(store / "photos" / "deep", 4)
    known = bucket(tmp_path / "site", store)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(known), os.environ.get("PYTHONPATH", "")]))
    words = "count", pooling_file(tmp_path / "a.onnx"), "bucket://photos/**", "--engine", "ray", "--to", "bucket://out"
    ended = run_cli(*words, "--actors", 1, "--part-size", 3)
    assert ended.code == 0, ended.err
    rows = table(store / "out")
    assert [row["image"] for row in rows] == [f"bucket://photos/deep/{number:03}.png" for number in range(4)]
    assert all(row["count"] > 0 for row in rows)
    assert run_cli(*words, "--part-size", 3).err == "4 of 4 images are in 'bucket://out' already.\n"
