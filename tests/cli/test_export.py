import json
import sys

import pytest


def test_export_writes_a_folder_that_counts_and_says_its_size(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli("export", trained_run, "--to", tmp_path / "half", "--dtype", "float16")
    assert done.code == 0, done.err
    assert str(tmp_path / "half") in done.out
    assert "MB  float16" in done.out
    assert json.loads(run_cli("adapters", "show", tmp_path / "half", "--json").out)["dtype"] == "float16"


def test_export_into_a_folder_in_use_is_refused_and_names_the_option(run_cli, trained_run, tmp_path):
    (tmp_path / "note").write_text("mine")
    done = run_cli("export", trained_run, "--to", tmp_path)
    assert (done.code, "not empty" in done.err, "--to" in done.err) == (2, True, True)


@pytest.mark.parametrize("option", [("--dtype", "int8"), ("--tile", "64"), ("--images", ".")])
def test_what_only_a_file_has_is_refused_for_a_folder(run_cli, tmp_path, option):
    done = run_cli("export", "adapters/demo", "--to", tmp_path / "a", *option)
    assert (done.code, option[0] in done.err, "--format onnx" in done.err) == (2, True, True)


@pytest.mark.parametrize(("dtype", "kind"), [("bfloat16", "openvino"), ("int8", "onnx")])
def test_what_only_a_file_has_is_refused_with_a_kind_of_file_that_has_it(run_cli, tmp_path, dtype, kind):
    refused = run_cli("export", "adapters/demo", "--to", tmp_path / "a", "--dtype", dtype)
    assert refused.code == 2
    assert f"--dtype {dtype} is for a file: give --format {kind} and --to FILE.{kind}." in " ".join(refused.err.split())


def test_a_file_has_a_name_that_says_what_it_is(run_cli, tmp_path):
    done = run_cli("export", "adapters/demo", "--format", "onnx", "--to", tmp_path / "a.bin")
    assert (done.code, ".onnx" in done.err) == (2, True)


def test_a_file_of_openvinos_kind_takes_its_package_which_is_told_before_any_work(run_cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    done = run_cli("export", "adapters/demo", "--to", tmp_path / "a.openvino")
    assert (done.code, "pip install 'sam-mprompt[openvino]'" in done.err) == (2, True), done.err


@pytest.mark.slow
def test_a_file_is_written_compared_and_counts(run_cli, trained_run, crowd_folder, tmp_path):
    file = tmp_path / "tiny.onnx"
    made = run_cli("export", trained_run, "--to", file, "--images", crowd_folder / "0.png", "--tile", 96)
    assert made.code == 0, made.err
    assert "MB  float32" in made.out
    assert "counts of all images" in made.out
    done = run_cli("count", file, crowd_folder / "0.png", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"][0]["count"] >= 0
    assert run_cli("evaluate", file, "--data", crowd_folder).code == 0
    refused = run_cli("count", file, crowd_folder / "0.png", "--compile")
    assert (refused.code, "fixed" in refused.err) == (2, True)
