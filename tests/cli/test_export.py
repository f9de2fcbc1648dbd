import json


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
