import json
import shutil

import pytest
from tampering import change_counter_file, change_tensors, sign

from sam_mprompt.adapter.calibration_file import CALIBRATION, CalibrationFile
from sam_mprompt.adapter.contents import TENSORS
from sam_mprompt.adapter.counter_file import COUNTER
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.errors import UsageError
from sam_mprompt.files import sha256_of

TEN = CalibrationFile(origin="images", heads=tuple(range(10)), counted=tuple(float(n) for n in range(10)))


def change(adapter, **values):
    """Change what an adapter's calibration holds, and sign."""
    path = adapter / CALIBRATION
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    sign(adapter)


def test_the_best_epochs_counts_of_the_val_split_are_its_calibration(trained_run):
    rows = [json.loads(line) for line in (trained_run / "held_out.jsonl").read_text().splitlines()]
    found = AdapterFolder.read(trained_run / "adapter").calibration
    assert found is not None
    assert found.origin == "val"
    assert found.heads == tuple(row["heads"] for row in rows)
    assert found.counted == tuple(row["counted"] for row in rows)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_export_keeps_the_calibration_and_ties_it_to_the_weights_that_it_writes(adapter, tmp_path, dtype):
    before = AdapterFolder.read(adapter).calibration
    after = AdapterFolder.read(adapter).export(tmp_path / "copy", dtype=dtype).calibration
    assert (after.heads, after.counted) == (before.heads, before.counted)
    assert after.weights == sha256_of(tmp_path / "copy" / TENSORS)
    assert (after.weights == before.weights) == (dtype == "float32")


def test_a_calibration_of_other_weights_is_told_and_not_used(adapter):
    change_tensors(adapter, lambda tensors: [tensor.add_(1) for tensor in tensors.values()])
    found = AdapterFolder.read(adapter)
    assert (found.calibration, found.uncalibrated) == (None, "its calibration.json belongs to other weights")


def test_a_calibration_that_was_copied_into_the_folder_is_told_and_not_used(adapter):
    change_counter_file(adapter, lambda table: table["sha256"].pop(CALIBRATION))
    found = AdapterFolder.read(adapter)
    assert found.calibration is None
    assert "put there by somebody else" in found.uncalibrated


def test_an_adapter_of_before_there_were_calibrations_has_none(adapter):
    change_counter_file(adapter, lambda table: table["sha256"].pop(CALIBRATION))
    (adapter / CALIBRATION).unlink()
    found = AdapterFolder.read(adapter)
    assert (found.calibration, found.uncalibrated) == (None, "it was written without one")
    assert found.facts()["calibration"] is None


@pytest.mark.parametrize(
    "values",
    [
        {"heads": [1, 2]},
        {"heads": [-1, 2, 3]},
        {"heads": [1.5, 2, 3]},
        {"counted": [1.0, float("nan"), 2.0]},
        {"counted": [1e300, 2.0, 3.0]},
        {"origin": "elsewhere"},
        {"more": 1},
        {"counted": None},
    ],
)
def test_a_damaged_calibration_is_refused_by_its_name(adapter, values):
    change(adapter, **values)
    with pytest.raises(UsageError, match=r"calibration\.json' (is damaged|cannot be read)"):
        AdapterFolder.read(adapter)


def test_a_calibration_of_a_later_version_is_refused(adapter):
    change(adapter, format_version=2)
    with pytest.raises(UsageError, match=r"has format version 2, this version of the package reads 1"):
        AdapterFolder.read(adapter)


def test_a_changed_calibration_is_refused_as_every_changed_file(adapter):
    (adapter / CALIBRATION).write_text("{}")
    with pytest.raises(UsageError, match=r"was changed after it was written: calibration\.json"):
        AdapterFolder.read(adapter)


def test_another_calibration_changes_nothing_else_of_the_folder(adapter):
    (adapter / "notes.txt").write_text("mine")
    before = {file.name: file.read_bytes() for file in adapter.iterdir()}
    found = AdapterFolder.read(adapter).recalibrate(TEN)
    assert (found.calibration.heads, found.calibration.origin) == (TEN.heads, "images")
    after = {file.name: file.read_bytes() for file in adapter.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {CALIBRATION, COUNTER, "README.md"}
    assert f"what {len(TEN.heads)} images were counted as" in (adapter / "README.md").read_text()


def test_a_card_that_somebody_edited_stays_as_it_is(adapter):
    with (adapter / "README.md").open("a") as file:
        file.write("Mine.")
    before = (adapter / "README.md").read_bytes()
    AdapterFolder.read(adapter).recalibrate(TEN)
    assert (adapter / "README.md").read_bytes() == before


def test_a_calibrated_copy_leaves_the_adapter_as_it_is(adapter, tmp_path):
    own = AdapterFolder.read(adapter)
    copy = own.recalibrate(TEN, tmp_path / "copy")
    assert copy.calibration.heads == TEN.heads
    assert AdapterFolder.read(adapter).calibration == own.calibration
    with pytest.raises(UsageError, match="is not empty: expected a new folder"):
        own.recalibrate(TEN, tmp_path / "copy")


def test_an_adapter_without_calibration_takes_one(adapter):
    change_counter_file(adapter, lambda table: table["sha256"].pop(CALIBRATION))
    (adapter / CALIBRATION).unlink()
    assert AdapterFolder.read(adapter).recalibrate(TEN).calibration.heads == TEN.heads


def test_a_missing_calibration_is_a_missing_file(adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    (copy / CALIBRATION).unlink()
    with pytest.raises(UsageError, match=r"not complete: calibration\.json missing"):
        AdapterFolder.read(copy)
