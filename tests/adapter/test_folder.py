import json
import shutil

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from sam_mprompt.adapter.folder import (
    CONFIG,
    COUNTER,
    FORMAT_VERSION,
    TENSORS,
    export_adapter,
    load_adapter,
    read_adapter,
)
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.files import sha256_of
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.recipe.schema import load_recipe


@pytest.fixture
def adapter(trained_run, tmp_path):
    """A copy of a trained adapter that a test may damage."""
    return shutil.copytree(trained_run / "adapter", tmp_path / "adapter")


def sign(adapter):
    """Write the checksums anew, as somebody who tampers with a folder would."""
    path = adapter / COUNTER
    info = json.loads(path.read_text())
    info["sha256"] = {name: sha256_of(adapter / name) for name in info["sha256"]}
    path.write_text(json.dumps(info))


def change_tensors(adapter, change):
    tensors = load_file(adapter / TENSORS)
    change(tensors)
    save_file(tensors, adapter / TENSORS)
    sign(adapter)


def test_the_folder_holds_prompt_modules_and_regressor_and_neither_base_nor_segmenter(adapter):
    names = {path.name for path in adapter.iterdir()}
    assert names == {CONFIG, TENSORS, COUNTER, "recipe.toml", "metrics.json", "README.md"}
    tensors = load_file(adapter / TENSORS)
    assert all(name.startswith(("base_model.model.blocks.", "counter.regressor.")) for name in tensors)
    assert all("mprompt_" in name for name in tensors if name.startswith("base_model."))
    assert "library_name: peft" in (adapter / "README.md").read_text()


def test_plain_peft_loads_the_prompt_modules(adapter, tiny_base):
    encoder = SamEncoder.from_checkpoint(tiny_base)
    loaded = peft.PeftModel.from_pretrained(encoder, str(adapter)).eval()
    ours = load_adapter(read_adapter(adapter)).counter.encoder.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (plain,) = SamEncoder.from_checkpoint(tiny_base).eval()(images)
        assert torch.equal(loaded(images)[0], ours(images)[0])
        assert not torch.equal(plain, ours(images)[0])


def test_a_float16_export_is_half_as_large_and_counts_nearly_the_same(adapter, tmp_path):
    full = read_adapter(adapter)
    half = export_adapter(full, tmp_path / "half", dtype="float16")
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
        export_adapter(read_adapter(adapter), tmp_path / name, dtype="float32")
    assert (tmp_path / "a" / TENSORS).read_bytes() == (tmp_path / "b" / TENSORS).read_bytes()


def test_an_export_never_overwrites(adapter, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        export_adapter(read_adapter(adapter), tmp_path / "taken", dtype="float32")
    assert (tmp_path / "taken" / "file").read_text() == "mine"


def test_an_adapter_for_another_base_is_refused(adapter, tmp_path):
    other = SamEncoder.random(
        SamEncoder.from_checkpoint(load_recipe(adapter / "recipe.toml").model.base).config, seed=99
    )
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=r"trained on base .* is another one"):
        load_adapter(read_adapter(adapter), str(tmp_path / "other.safetensors"))


def test_a_copy_of_the_base_in_another_file_is_accepted(adapter, tiny_base, tmp_path):
    torch.save({f"image_encoder.{k}": v for k, v in load_file(tiny_base).items()}, tmp_path / "copy.pth")
    load_adapter(read_adapter(adapter), str(tmp_path / "copy.pth"))


@pytest.mark.parametrize("name", [TENSORS, CONFIG, "recipe.toml", "metrics.json"])
def test_a_changed_file_is_refused(adapter, name):
    with (adapter / name).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"   ")
    with pytest.raises(UsageError, match=f"(changed after it was written: {name}|intact safetensors)"):
        read_adapter(adapter)


@pytest.mark.parametrize("name", [TENSORS, CONFIG, COUNTER, "recipe.toml", "metrics.json"])
def test_a_missing_file_is_named(adapter, name):
    (adapter / name).unlink()
    with pytest.raises(UsageError, match=name):
        read_adapter(adapter)


def test_a_truncated_adapter_is_refused(adapter):
    content = (adapter / TENSORS).read_bytes()
    (adapter / TENSORS).write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"it declares .* bytes and holds"):
        read_adapter(adapter)


def test_nan_weights_are_refused_and_named(adapter):
    def poison(tensors):
        tensors["counter.regressor.output.bias"][0] = float("nan")

    change_tensors(adapter, poison)
    with pytest.raises(UsageError, match=r"not finite in counter\.regressor\.output\.bias"):
        read_adapter(adapter)


def test_missing_unexpected_and_reshaped_keys_are_all_named_in_one_message(adapter):
    def change(tensors):
        del tensors["counter.regressor.output.bias"]
        tensors["counter.surplus"] = torch.zeros(1)
        tensors["counter.regressor.output.weight"] = torch.zeros(1, 7, 1, 1)

    change_tensors(adapter, change)
    with pytest.raises(UsageError) as raised:
        load_adapter(read_adapter(adapter))
    for name in ("regressor.output.bias", "counter.surplus", "regressor.output.weight is (1, 7, 1, 1)"):
        assert name in str(raised.value)


def test_missing_prompt_modules_are_refused(adapter):
    def change(tensors):
        for name in [name for name in tensors if "blocks.1.mlp" in name]:
            del tensors[name]

    change_tensors(adapter, change)
    with pytest.raises(UsageError, match=r"missing: .*blocks\.1\.mlp"):
        load_adapter(read_adapter(adapter))


def test_an_adapter_of_a_later_format_is_refused(adapter):
    info = json.loads((adapter / COUNTER).read_text())
    (adapter / COUNTER).write_text(json.dumps({**info, "format_version": FORMAT_VERSION + 1}))
    with pytest.raises(UsageError, match="Upgrade sam-mprompt"):
        read_adapter(adapter)


def test_a_full_disk_keeps_the_old_adapter(adapter, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sam_mprompt.adapter.folder.write_tensors", full)
    with pytest.raises(RunError, match="No space left"):
        export_adapter(read_adapter(adapter), tmp_path / "copy", dtype="float32")
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
