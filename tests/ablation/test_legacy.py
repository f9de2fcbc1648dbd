import json

import pytest

from sam_mprompt.ablation.records import Record, read_records, run_fingerprint
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe

OLD = {
    "row": "all",
    "seed": 1,
    "command": "sam-mprompt finetune --recipe shb-tiny --data DIR --out runs/x/all-1 --set train.clip_norm=1.0 "
    "--set 'tuning.blocks=[6, 7]' --set train.seed=1",
    "machine": "x86_64, 1 CPU threads",
    "epochs": 5,
    "seconds": 450.1,
    "best_epoch": 5,
    "val_mae": 49.9,
    "val_rmse": 86.6,
    "val_mean_mae": 87.8,
    "trainable": 1,
    "total": 2,
}


class Nothing:
    """A source without images, which leaves the settings alone in a fingerprint."""

    def __len__(self):
        return 0


def test_a_record_that_held_a_command_is_read_as_settings_under_todays_names(tmp_path):
    (tmp_path / "records.jsonl").write_text(json.dumps(OLD) + "\n")
    (record,) = read_records(tmp_path / "records.jsonl")
    assert record.recipe == "shb-tiny-prompt"
    assert record.settings == ("train.max_grad_norm=1.0", "tuning.blocks=[6, 7]", "train.seed=1")
    assert Record.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("command", ["make tea", 3, ["finetune"]])
def test_a_command_without_a_recipe_is_refused(tmp_path, command):
    (tmp_path / "records.jsonl").write_text(json.dumps(OLD | {"command": command}) + "\n")
    with pytest.raises(UsageError, match="a training's command, got '"):
        read_records(tmp_path / "records.jsonl")


# Recipes of SAM-base had the paper's crops, and tiles of twice that, then.
SIZES = ["data.crop=400", "data.min_side=416", "infer.tile=896"]


@pytest.mark.parametrize(
    ("recipe", "settings", "of_0_1"),
    [
        ("demo", [], "8a47afe511146c53"),
        ("shb-tiny-prompt", ["train.max_grad_norm=0.5"], "f5b2f5fa67e505e2"),
        ("shb-tiny-side", [], "270387be21b6d5f0"),
        ("shb-tiny-side-long", [], "4d4726fd063b0566"),
        ("shb-scratch", [], "8960b390d7bcd6e9"),
        ("shb-hrnet", ["train.seed=3"], "3ff62b7c805749c7"),
        ("sha", [*SIZES, "tuning.method=lora", "tuning.options.r=4"], "bd54ad93ae0b3fa9"),
        ("sha", [*SIZES, "tuning.blocks=[9,10,11]"], "9fa4bdec72ff9aaa"),
        ("sha-vgg19", [], "c8704bf1e8fef872"),
        ("sha-swin", [], "24c59fff0abb32cd"),
        ("nwpu", [*SIZES, "train.gradient_accumulation=2", "train.seed=1"], "affa9adf1468b5eb"),
    ],
)
def test_settings_have_the_fingerprint_that_version_0_1_gave_them(recipe, settings, of_0_1):
    assert run_fingerprint(load_recipe(recipe, settings), Nothing(), Nothing()) == of_0_1
