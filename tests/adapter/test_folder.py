import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tampering import as_version_1, change_counter_file, change_tensors, sign

from sam_mprompt.adapter.counter_file import COUNTER, FORMAT_VERSION
from sam_mprompt.adapter.folder import CONFIG, METRICS, RECIPE, TENSORS, AdapterFolder
from sam_mprompt.adapter.loading import load_adapter
from sam_mprompt.errors import RunError, UsageError


def test_the_folder_holds_prompt_modules_and_regressor_and_neither_base_nor_segmenter(adapter):
    names = {path.name for path in adapter.iterdir()}
    assert names == {CONFIG, TENSORS, COUNTER, "recipe.toml", "metrics.json", "README.md"}
    tensors = load_file(adapter / TENSORS)
    assert all(name.startswith(("base_model.model.blocks.", "counter.regressor.")) for name in tensors)
    assert all("mprompt_" in name for name in tensors if name.startswith("base_model."))
    assert "library_name: peft" in (adapter / "README.md").read_text()


def test_a_float16_export_is_half_as_large_and_counts_nearly_the_same(adapter, tmp_path):
    full = AdapterFolder.read(adapter)
    half = full.export(tmp_path / "half", dtype="float16")
    prompts = [name for name in half.tensors if name.startswith("base_model.")]
    assert all(half.tensors[name].dtype == torch.float16 for name in prompts)
    assert all(t.dtype != torch.float16 for name, t in half.tensors.items() if name not in prompts)
    images = torch.rand(1, 3, 64, 64)
    counts = []
    with torch.no_grad():
        for folder in (full, half):
            counts.append(float(load_adapter(folder).counter(images).density.sum()))
    assert counts[1] == pytest.approx(counts[0], rel=1e-2)


def test_an_export_repeats_byte_for_byte(adapter, tmp_path):
    for name in ("a", "b"):
        AdapterFolder.read(adapter).export(tmp_path / name, dtype="float32")
    assert (tmp_path / "a" / TENSORS).read_bytes() == (tmp_path / "b" / TENSORS).read_bytes()


def test_an_export_of_a_version_1_adapter_is_of_todays_version(adapter, tmp_path):
    as_version_1(adapter)
    exported = AdapterFolder.read(adapter).export(tmp_path / "today", dtype="float32")
    assert exported.info.format_version == FORMAT_VERSION
    assert json.loads((tmp_path / "today" / COUNTER).read_text())["size_divisor"] == 16


@pytest.mark.parametrize(("name", "value"), [("tile", 128), ("max_side", 1024), ("scale", 2.0)])
def test_sizes_that_contradict_the_recipe_are_refused_and_both_are_named(adapter, name, value):
    recorded = {"max_side": 2048, "min_side": 64, "scale": 1.0, "tile": 96, "overlap": 16}
    assert vars(AdapterFolder.read(adapter).geometry) == recorded
    change_counter_file(adapter, lambda table: table.update(geometry={**recorded, name: value}))
    with pytest.raises(UsageError, match=f"{name} is {value} in counter.json and {recorded[name]} in recipe.toml"):
        AdapterFolder.read(adapter)


def test_an_export_never_overwrites(adapter, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        AdapterFolder.read(adapter).export(tmp_path / "taken", dtype="float32")
    assert (tmp_path / "taken" / "file").read_text() == "mine"


@pytest.mark.parametrize("name", [TENSORS, CONFIG, "recipe.toml", "metrics.json"])
def test_a_changed_file_is_refused(adapter, name):
    with (adapter / name).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"   ")
    with pytest.raises(UsageError, match=f"(changed after it was written: {name}|intact safetensors)"):
        AdapterFolder.read(adapter)


@pytest.mark.parametrize("name", [TENSORS, CONFIG, COUNTER, "recipe.toml", "metrics.json"])
def test_a_missing_file_is_named(adapter, name):
    (adapter / name).unlink()
    with pytest.raises(UsageError, match=name):
        AdapterFolder.read(adapter)


def test_a_truncated_adapter_is_refused(adapter):
    content = (adapter / TENSORS).read_bytes()
    (adapter / TENSORS).write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"it declares .* bytes and holds"):
        AdapterFolder.read(adapter)


def test_nan_weights_are_refused_and_named(adapter):
    def poison(tensors):
        tensors["counter.regressor.output.bias"][0] = float("nan")

    change_tensors(adapter, poison)
    with pytest.raises(UsageError, match=r"not finite in counter\.regressor\.output\.bias"):
        AdapterFolder.read(adapter)


def test_a_full_disk_keeps_the_old_adapter(adapter, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sam_mprompt.adapter.folder.write_tensors", full)
    with pytest.raises(RunError, match="No space left"):
        AdapterFolder.read(adapter).export(tmp_path / "copy", dtype="float32")
    assert not (tmp_path / "copy").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


@pytest.mark.slow
def test_sam_base_in_float16_fits_in_16_megabytes_and_the_whole_path_runs(tmp_path, crowd_folder, run_cli):
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    torch.save(sam_model_registry["vit_b"]().state_dict(), tmp_path / "sam_vit_b_01ec64.pth")
    small = ["train.epochs=1", "train.batch_size=3", "train.workers=0", "data.format=points", "data.val_fraction=0.2"]
    overrides = [part for setting in small for part in ("--set", setting)]
    run = tmp_path / "run"
    base = tmp_path / "sam_vit_b_01ec64.pth"
    trained = run_cli("finetune", "--recipe", "nwpu", "--data", crowd_folder, "--base", base, "--out", run, *overrides)
    assert trained.code == 0, trained.err
    assert json.loads((run / "metrics.jsonl").read_text())["step"] == 2
    prompts = [t for n, t in load_file(run / "adapter" / TENSORS).items() if n.startswith("base_model.")]
    assert sum(tensor.numel() for tensor in prompts) == pytest.approx(7.10e6, abs=5e3)
    exported = run_cli("export", run, "--to", tmp_path / "half", "--dtype", "float16")
    assert exported.code == 0, exported.err
    assert sum(path.stat().st_size for path in (tmp_path / "half").iterdir()) <= 16e6
    counted = [
        json.loads(run_cli("count", folder, crowd_folder / "0.png", "--json").out)["images"][0]["count"]
        for folder in (run, tmp_path / "half")
    ]
    assert all(np.isfinite(counted))
    assert counted[1] == pytest.approx(counted[0], rel=0.05, abs=0.5)


@pytest.mark.parametrize("text", [b"a = [", b"\xff", b"a = " + b"[" * 100_000, b"a = " + b"1" * 5000])
def test_a_recipe_that_is_no_toml_is_refused_in_one_line(adapter, text):
    (adapter / RECIPE).write_bytes(text)
    sign(adapter)
    with pytest.raises(UsageError, match=r"is not valid TOML") as said:
        AdapterFolder.read(adapter)
    assert "\n" not in str(said.value)


def test_a_folder_whose_recipe_and_counter_file_differ_in_what_was_trained_is_refused(adapter):
    change_counter_file(adapter, lambda table: table.update(native=True))
    with pytest.raises(UsageError, match=r"native is True in counter\.json, and tuning.method is 'prompt'"):
        AdapterFolder.read(adapter)


@pytest.mark.parametrize(
    "metrics", ['{"val": {"mae": "x"}}', '{"val": 3}', '{"val": {"images": 1, "mae": 2, "rmse": 3}}']
)
def test_metrics_of_another_shape_stop_no_export(adapter, tmp_path, metrics):
    (adapter / METRICS).write_text(metrics)
    sign(adapter)
    AdapterFolder.read(adapter).export(tmp_path / "copy", dtype="float32")
    assert (tmp_path / "copy" / "README.md").is_file()
