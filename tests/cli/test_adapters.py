import json
import shutil

from pooling_file import pooling_file
from tampering import sign


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


def test_an_adapter_that_does_not_fit_its_base_is_neither_shown_nor_exported_nor_pushed(run_cli, trained_run, tmp_path):
    folder = shutil.copytree(trained_run / "adapter", tmp_path / "hostile")
    config = folder / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "bottleneck": 10**6}))
    sign(folder)
    said = run_cli("adapters", "verify", folder)
    assert (said.code, "instead of (1000000,)" in said.err, len(said.err.splitlines())) == (2, True, 1)
    export = ("export", folder, "--to", tmp_path / "copy")
    push = ("adapters", "push", folder, "hf://somebody/hostile", "--license", "mit")
    for done in (run_cli("adapters", "show", folder), run_cli(*export), run_cli(*push)):
        assert (done.code, done.err) == (said.code, said.err)
    assert not (tmp_path / "copy").exists()


def test_what_is_no_adapter_is_refused_and_says_where_to_look(run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_cli("adapters", "verify", "nobody")
    assert (done.code, "sam-mprompt adapters list" in done.err) == (2, True)


def test_an_exported_file_is_shown_as_a_folder_is(run_cli, tmp_path):
    file = pooling_file(tmp_path / "a.onnx", tile=64)
    shown = json.loads(run_cli("adapters", "show", file, "--json").out)
    assert (shown["precision"], shown["sides_of_tiles"], shown["geometry"]["tile"]) == ("float32", "64 px", 64)
    assert "sides_of_tiles" in run_cli("adapters", "show", file).out
    file.write_bytes(file.read_bytes()[:100])
    done = run_cli("adapters", "show", file)
    assert (done.code, "cannot be read" in done.err, len(done.err.splitlines())) == (2, True, 1)
