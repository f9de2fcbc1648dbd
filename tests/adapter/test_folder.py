import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_counter import Patches, small_counter
from small_training import TABLE
from tampering import as_version_1, change_counter_file, change_tensors, sign

from sam_mprompt.adapter.calibration_file import CALIBRATION
from sam_mprompt.adapter.contents import CONFIG, METRICS, RECIPE, TENSORS
from sam_mprompt.adapter.counter_file import COUNTER, FORMAT_VERSION
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.licences_file import LICENCES_FILE, LicencesFile
from sam_mprompt.adapter.loading import load_adapter
from sam_mprompt.adapter.scope_file import SCOPE
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.models.build import Base, BuiltCounter
from sam_mprompt.recipe.schema import parse_recipe
from sam_mprompt.version import __version__


def test_the_folder_holds_prompt_modules_and_regressor_and_neither_base_nor_segmenter(adapter):
    names = {path.name for path in adapter.iterdir()}
    assert names == {
        *(CONFIG, TENSORS, COUNTER, CALIBRATION, SCOPE, LICENCES_FILE),
        *("recipe.toml", "metrics.json", "README.md"),
    }
    tensors = load_file(adapter / TENSORS)
    assert all(name.startswith(("base_model.model.blocks.", "counter.regressor.")) for name in tensors)
    assert all("mprompt_" in name for name in tensors if name.startswith("base_model."))
    assert "library_name: sam-mprompt\n" in (adapter / "README.md").read_text()


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
    assert (exported.info.format_version, exported.info.written_by) == (FORMAT_VERSION, __version__)
    assert json.loads((tmp_path / "today" / COUNTER).read_text())["size_divisor"] == 16


@pytest.mark.parametrize(("name", "value"), [("tile", 128), ("max_side", 1024), ("scale", 2.0)])
def test_sizes_that_contradict_the_recipe_are_refused_and_both_are_named(adapter, name, value):
    recorded = {"max_side": 2048, "min_side": 64, "scale": 1.0, "tile": 96, "overlap": 16, "tile_step": 224}
    assert vars(AdapterFolder.read(adapter).geometry) == recorded
    change_counter_file(adapter, lambda table: table.update(geometry={**recorded, name: value}))
    with pytest.raises(UsageError) as told:
        AdapterFolder.read(adapter)
    assert str(told.value) == (
        f"Adapter '{adapter}' contradicts itself: {name} is {value} in counter.json and {recorded[name]} in "
        "recipe.toml. Copy the folder again, or export it again."
    )


def test_a_folder_counts_by_tiles_of_the_steps_that_it_was_written_with(adapter):
    assert AdapterFolder.read(adapter).geometry.tile_step == 224
    change_counter_file(adapter, lambda table: table["geometry"].update(tile_step=32))
    assert AdapterFolder.read(adapter).geometry.tile_step == 32
    change_counter_file(adapter, lambda table: table["geometry"].pop("tile_step"))  # as versions before wrote it
    assert AdapterFolder.read(adapter).geometry.tile_step == 0


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


@pytest.fixture
def native(tmp_path):
    """The folder of a whole small model, as a training with tuning.method = "full" gathers it; not written yet."""
    counter = small_counter(segmenter=True)
    built = BuiltCounter(counter, Base("small", "5" * 64))
    recipe = parse_recipe({**TABLE, "name": "square"}, source="test")
    return AdapterFolder.of(tmp_path / "native", built, recipe, metrics={"val": {"mae": 1.5}}), counter


def test_a_whole_model_is_gathered_with_its_encoder_and_without_its_segmenter(native):
    folder, counter = native
    kept = {name for name in counter.state_dict() if not name.startswith("segmenter.")}
    assert folder.tensors.keys() == {f"counter.{name}" for name in kept}
    assert all(torch.equal(folder.tensors[f"counter.{name}"], counter.state_dict()[name]) for name in kept)
    info = folder.info
    assert (info.format_version, info.written_by, info.native, info.dtype) == (
        FORMAT_VERSION,
        __version__,
        True,
        "float32",
    )
    assert (info.base, info.base_fingerprint) == ("small", "5" * 64)
    assert (info.stride, info.size_divisor, info.mean, info.std) == (4, 4, Patches.mean, Patches.std)
    assert (info.geometry.min_side, info.geometry.tile, info.geometry.overlap) == (8, 32, 0)
    assert info.sha256 == {}
    assert folder.config is None
    assert folder.geometry == info.geometry


def test_what_was_written_is_read_back_with_a_checksum_of_each_file(native):
    folder, _ = native
    folder.write()
    read = AdapterFolder.read(folder.path)
    names = {TENSORS, RECIPE, METRICS, LICENCES_FILE}
    assert {path.name for path in folder.path.iterdir()} == names | {COUNTER, "README.md"}
    assert read.info.sha256 == {name: hashlib.sha256((folder.path / name).read_bytes()).hexdigest() for name in names}
    assert read.info.model_copy(update={"sha256": {}}) == folder.info
    assert (read.path, read.recipe, read.config, read.metrics) == (
        folder.path,
        folder.recipe,
        None,
        {"val": {"mae": 1.5}},
    )
    assert read.tensors.keys() == folder.tensors.keys()
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in folder.tensors.items())
    text = (folder.path / METRICS).read_text()
    assert text == json.dumps({"val": {"mae": 1.5}}, indent=2) + "\n"
    keys = list(json.loads((folder.path / COUNTER).read_text()))
    assert keys == sorted(keys)


def test_the_facts_of_a_folder_are_its_own(native):
    folder, counter = native
    folder.write()
    facts = AdapterFolder.read(folder.path).facts()
    size = sum(path.stat().st_size for path in folder.path.iterdir())
    elsewhere = sum(t.numel() for name, t in counter.state_dict().items() if not name.startswith("segmenter."))
    assert (facts["path"], facts["bytes"], facts["recipe"], facts["tuning"]) == (
        str(folder.path),
        size,
        "square",
        "full",
    )
    assert (facts["parameters_in_encoder_adapter"], facts["parameters_elsewhere"]) == (0, elsewhere)
    assert (facts["stride"], facts["native"], facts["metrics"]) == (4, True, {"val": {"mae": 1.5}})
    assert "sha256" not in facts
    assert json.loads(json.dumps(facts)) == facts


def with_prompts(folder, values):
    """The same folder with a tensor as peft's are named."""
    return replace(folder, tensors={**folder.tensors, "base_model.x": torch.tensor(values)})


def test_only_prompt_modules_are_narrowed_and_facts_tell_them_apart(native):
    folder, _ = native
    folder = with_prompts(folder, [1.0, 2.0, 3.0])
    folder.write()
    half = folder.export(folder.path.parent / "half", dtype="float16")
    assert half.info.dtype == "float16"
    assert half.tensors["base_model.x"].dtype == torch.float16
    assert {t.dtype for name, t in half.tensors.items() if name != "base_model.x"} <= {torch.float32, torch.int64}
    facts, others = half.facts(), sum(tensor.numel() for tensor in half.tensors.values()) - 3
    assert (facts["parameters_in_encoder_adapter"], facts["parameters_elsewhere"]) == (3, others)
    plain = native[0].export(folder.path.parent / "plain", dtype="float16")
    assert plain.info.dtype == "float32"


def test_values_beyond_the_range_are_refused_by_name_and_whole_numbers_are_kept(native):
    folder, _ = native
    with pytest.raises(
        UsageError, match=r"^base_model\.x has values beyond the range of float16\. Export it as float32\.$"
    ):
        with_prompts(folder, [1e6]).export(folder.path.parent / "half", dtype="float16")
    kept = with_prompts(folder, [7]).export(folder.path.parent / "whole", dtype="float16")
    assert kept.tensors["base_model.x"].tolist() == [7]
    assert kept.tensors["base_model.x"].dtype == torch.int64


@pytest.mark.parametrize("there", ["nothing", "empty folder", "file", "full folder"])
def test_an_export_goes_to_a_new_or_an_empty_folder(native, tmp_path, there):
    folder, to = native[0], tmp_path / "to"
    if there == "file":
        to.write_text("mine")
    elif there != "nothing":
        to.mkdir()
    if there == "full folder":
        (to / "mine").write_text("")
    if there in ("file", "full folder"):
        said = rf"^'{re.escape(str(to))}' is not empty: expected a new folder to export to\.$"
        with pytest.raises(UsageError, match=said) as told:
            folder.export(to, dtype="float32")
        assert told.value.about == "export folder"
    else:
        exported = folder.export(to, dtype="float32")
        assert exported.path == to
        assert exported.info.written_by == __version__


def test_a_folder_that_is_not_whole_is_told_with_all_that_is_missing_or_changed(adapter):
    for name in (METRICS, RECIPE):
        (adapter / name).write_text((adapter / name).read_text() + "\n")
    with pytest.raises(UsageError) as told:
        AdapterFolder.read(adapter)
    assert str(told.value) == (
        f"Adapter '{adapter}' was changed after it was written: metrics.json, recipe.toml (SHA-256 differs from "
        "counter.json). Copy the folder again, or export it again."
    )
    for name in (METRICS, RECIPE):
        (adapter / name).unlink()
    with pytest.raises(UsageError) as told:
        AdapterFolder.read(adapter)
    assert str(told.value) == (
        f"Adapter '{adapter}' is not complete: metrics.json, recipe.toml missing. Copy the folder again."
    )


def test_every_file_of_a_folder_has_a_checksum_and_every_checksum_a_file(adapter):
    change_counter_file(adapter, lambda table: table["sha256"].pop(METRICS))
    with pytest.raises(UsageError, match=r"was changed after it was written: a checksum is missing \(SHA-256"):
        AdapterFolder.read(adapter)
    (adapter / METRICS).unlink()
    with pytest.raises(UsageError, match=r"is not complete: metrics\.json missing\."):
        AdapterFolder.read(adapter)
    (adapter / METRICS).write_text("{}")
    change_counter_file(adapter, lambda table: table["sha256"].update({METRICS: "", "notes.txt": ""}))
    with pytest.raises(UsageError, match=r"is not complete: notes\.txt missing\."):
        AdapterFolder.read(adapter)
    change_counter_file(adapter, lambda table: table["sha256"].update({"a" * 300: ""}))
    with pytest.raises(UsageError, match=r"is not complete: a{300}, notes\.txt missing\."):
        AdapterFolder.read(adapter)


def test_a_recipe_that_is_at_fault_is_named_by_its_file(adapter):
    with (adapter / RECIPE).open("a") as file:
        file.write("\n[nonsense]\n")
    sign(adapter)
    with pytest.raises(UsageError, match=re.escape(str(adapter / RECIPE))):
        AdapterFolder.read(adapter)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (None, ""),
        ("a text", ""),
        ({"packages": 3}, "Trained on not known, not known, computed on not known, with Python not known."),
        ({"device": "x\n# y", "packages": {"torch": [2]}}, "on x\\n# y, with Python not known, torch not known."),
        ({"device": "x" * 10**6}, f"computed on {'x' * 100}, with"),
    ],
)  # fmt: skip
def test_a_card_shows_of_a_strangers_environment_a_few_short_words(small_adapter, told, shown):
    folder = AdapterFolder.read(small_adapter)
    plain = folder.card()
    card = replace(folder, metrics=folder.metrics | {"environment": told}).card()
    assert shown in card
    assert card.replace("\n\nTrained on", "", 1).count("\n") - plain.count("\n") in (0, 1)
    assert (card == plain) == (not shown)


def test_licences_that_a_folder_records_are_read_back_written_again_and_told(adapter, tmp_path):
    own = LicencesFile(base="mit", base_hub_id="a/b", data="cc-by-4.0")
    replace(AdapterFolder.read(adapter), path=tmp_path / "own", licences=own).write()
    found = AdapterFolder.read(tmp_path / "own")
    assert found.licences == own
    assert json.loads((found.path / LICENCES_FILE).read_text()) == {**dict(own), "format_version": 1}
    assert found.facts()["licences"] == {"base": "mit", "base_hub_id": "a/b", "data": "cc-by-4.0"}
    assert "- The training images: cc-by-4.0" in found.card()


def test_an_adapter_that_was_just_trained_records_the_licences_of_its_recipe(make_adapter):
    found = AdapterFolder.read(make_adapter("data.licence=cc-by-4.0"))
    assert found.licences is not None
    assert found.licences.data == "cc-by-4.0"


def test_of_a_folder_without_licences_none_are_made_up(adapter):
    (adapter / LICENCES_FILE).unlink()
    change_counter_file(adapter, lambda table: table["sha256"].pop(LICENCES_FILE))
    assert AdapterFolder.read(adapter).licences is None


def test_a_card_tells_of_the_scope_and_of_peft_where_there_is_something_to_tell(adapter, native):
    found = AdapterFolder.read(adapter)
    assert "6 training images lay in these ranges" in found.card()
    assert "- peft\n" in found.card()
    assert "datasets:\n- a/b\n" in found.card(datasets=["a/b"])
    assert "- peft\n" not in native[0].card()


def test_facts_name_the_source_and_what_error_bars_come_from(adapter):
    facts = AdapterFolder.read(adapter).facts()
    assert facts["source"] == AdapterFolder.read(adapter).source
    assert facts["calibration"] == {"images": 3, "origin": "val"}
