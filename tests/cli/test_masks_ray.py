"""`masks --engine ray`: the same files as `masks` makes, and a killed command goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_job import made_elsewhere
from small_whole_sam import write_whole_sam

from sam_mprompt.cli import masks_ray

pytestmark = pytest.mark.usefixtures("ray_folder")
PATIENCE = 300


def contents(folder):
    """What the files of a folder of masks hold, by their names."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def words(data, out, *more):
    return "masks", "--source", "points", "--data", data, "--out", out, *more


@pytest.mark.slow
def test_the_files_are_those_of_the_local_command_and_none_is_made_again(run_cli, crowd_folder, tmp_path):
    assert run_cli(*words(crowd_folder, tmp_path / "local")).code == 0
    ray = words(crowd_folder, tmp_path / "ray", "--engine", "ray", "--to", tmp_path / "job", "--part-size", 3)
    ended = run_cli(*ray, "--actors", 2)
    assert ended.code == 0, ended.err
    assert "11 masks" in ended.out
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")

    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "ray").rglob("*.png")}
    shutil.rmtree(tmp_path / "job")  # as where the command was killed before it began: all but the masks is gone
    next(iter(written)).unlink()
    again = run_cli(*ray, "--actors", 1)
    assert again.code == 0, again.err
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    kept = list(written)[1:]
    assert {file: file.stat().st_mtime_ns for file in kept} == {file: written[file] for file in kept}

    kept[0].unlink()
    lost = run_cli(*ray)
    assert lost.code == 1
    assert "1 masks of" in lost.err
    assert "made and are there no longer" in lost.err

    other = run_cli(*words(crowd_folder, tmp_path / "ray", "--dilation", 3, *ray[7:]))
    assert other.code == 2
    assert "holds masks of" in other.err


@pytest.fixture(params=["boxes", "segmenter", "sam"])
def source(request, trained_run, tmp_path, monkeypatch):
    """The words for a source; what it is loaded from is named as seen from the folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    if request.param == "segmenter":
        (tmp_path / "run").symlink_to(trained_run)
        return "segmenter", "--run", "run", "--set", "data.scale=0.5", "--set", "data.min_side=8"
    return ("sam", "--base", write_whole_sam(Path("sam.pth"))) if request.param == "sam" else ("boxes",)


def test_what_is_named_as_seen_from_here_is_found_by_machines_elsewhere(
    run_cli, source, crowd_folder, tmp_path, monkeypatch
):
    (tmp_path / "data").symlink_to(crowd_folder)
    made_elsewhere(monkeypatch, masks_ray, tmp_path.parent)
    asked = "masks", "--source", *source, "--data", "data", "--out", "ray", "--engine", "ray", "--to", "job"
    assert "made elsewhere" in run_cli(*asked, "--device", "cpu").err


@pytest.mark.slow
def test_masks_of_every_source_are_those_of_the_local_command(run_cli, source, crowd_folder, tmp_path):
    asked = "masks", "--source", *source, "--data", crowd_folder, "--device", "cpu", "--out"
    assert run_cli(*asked, "local").code == 0
    ended = run_cli(*asked, "ray", "--engine", "ray", "--to", "job", "--part-size", 3, "--actors", 2)
    assert ended.code == 0, ended.err
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert len(set(contents(tmp_path / "local").values())) > 3, "these masks say nothing"


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_and_makes_no_mask_again(run_cli, crowd_folder, tmp_path):
    asked = "masks", "--source", "sam", "--base", write_whole_sam(tmp_path / "sam.pth"), "--data", crowd_folder
    ray = *asked, "--out", tmp_path / "ray", "--engine", "ray", "--to", tmp_path / "job", "--part-size", 1
    ray = *ray, "--actors", 1, "--device", "cpu"
    command = subprocess.Popen(
        [sys.executable, "-m", "sam_mprompt", *map(str, ray)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE
    while command.poll() is None and not list(tmp_path.glob("ray/*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    done = {file: file.stat().st_mtime_ns for file in tmp_path.glob("ray/*.png")}
    assert 0 < len(done) < 11

    again = run_cli(*ray)
    assert again.code == 0, again.err
    assert "11 masks" in again.out
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert run_cli(*asked, "--out", tmp_path / "local", "--device", "cpu").code == 0
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
