import json

from PIL import Image


def test_data_check_prints_counts_and_writes_previews(run_cli, crowd_folder, tmp_path):
    done = run_cli("data", "check", crowd_folder, "--preview", tmp_path / "p")
    assert done.code == 0, done.err
    assert "train" in done.out
    assert len(list((tmp_path / "p").rglob("*.*"))) >= 3
    assert json.loads(run_cli("data", "check", crowd_folder, "--json").out)


def test_synthesized_scenes_are_a_sound_dataset_with_a_contact_sheet(run_cli, tmp_path):
    splits = ("--train", 3, "--val", 1, "--test", 1)
    done = run_cli("data", "synthesize", tmp_path / "d", *splits, "--sheet", tmp_path / "sheet.png")
    assert done.code == 0, done.err
    assert Image.open(tmp_path / "sheet.png").width > 800
    checked = run_cli("data", "check", tmp_path / "d")
    assert "No problems found" in checked.out
    assert run_cli("data", "synthesize", tmp_path / "d", *splits).code == 2
