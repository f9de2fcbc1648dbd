"""`masks --engine ray`: the same files as `masks` makes, and a killed command goes on."""

import shutil

import pytest

pytestmark = pytest.mark.usefixtures("ray_folder")


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
