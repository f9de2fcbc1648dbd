import json


def test_adapters_are_listed_shown_and_verified(run_cli, trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(trained_run)
    assert "mine" in {row["name"] for row in json.loads(run_cli("adapters", "list", "--json").out)}
    shown = json.loads(run_cli("adapters", "show", "mine", "--json").out)
    assert shown["parameters_in_encoder_adapter"] == 2 * 2 * (2 * 32 * 8 + 8 + 32)
    assert "intact, fits base" in run_cli("adapters", "verify", "mine").out


def test_a_damaged_adapter_is_listed_with_its_fault(run_cli, trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "adapters" / "newer"
    folder.mkdir(parents=True)
    (folder / "counter.json").write_text('{"format_version": 99}')
    [row] = [row for row in json.loads(run_cli("adapters", "list", "--json").out) if row["name"] == "newer"]
    assert "format version 99" in row["fault"]
    assert run_cli("adapters", "show", "newer").code == 2


def test_what_is_no_adapter_is_refused_and_says_where_to_look(run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_cli("adapters", "verify", "nobody")
    assert (done.code, "sam-mprompt adapters list" in done.err) == (2, True)
