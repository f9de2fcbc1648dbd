import csv
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.cli.app import app
from sam_mprompt.recipe.find import recipe_files

COMMANDS = [
    ["finetune"],
    ["evaluate"],
    ["count"],
    ["export"],
    ["describe"],
    ["masks"],
    ["ablate"],
    ["compare"],
    ["pretrain"],
    *(["adapters", name] for name in ("list", "show", "verify")),
    *(["recipes", name] for name in ("list", "show", "copy")),
    *(["checkpoints", name] for name in ("list", "pull", "verify")),
    ["data", "check"],
    ["data", "synthesize"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_commands_help_has_an_example(run_cli, command):
    shown = run_cli(*command, "--help")
    assert shown.code == 0
    assert f"sam-mprompt {' '.join(command)}" in re.sub(r"\s+", " ", shown.out).split("Example:")[1]


def test_no_command_is_missing_from_the_test_above():
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    names = [[info.callback.__name__] for info in app.registered_commands]
    names += [[group, info.name] for group, sub in groups.items() for info in sub.registered_commands]
    assert sorted(names) == sorted(COMMANDS)


def imported(command):
    """Return which heavy packages a command imported, and its exit code."""
    code = (
        "import atexit, sys; from sam_mprompt.cli.app import main;"
        "atexit.register(lambda: print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules]));"
        "sys.argv[0] = 'sam-mprompt'; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[-1], done.returncode


@pytest.mark.parametrize("command", ["--help", "recipes list", "checkpoints list"])
def test_help_and_lists_wait_for_no_heavy_import(command):
    assert imported(command) == ("[]", 0)


@pytest.mark.parametrize("fault", ["nwpuu", "nwpu --set train.epoch=1"])
def test_a_faulty_recipe_is_told_before_torch_is_imported(fault):
    assert imported(f"finetune --recipe {fault}") == ("['pydantic']", 2)


@pytest.mark.skipif(sys.platform != "linux", reason="asks libgomp")
@pytest.mark.parametrize(("asked", "spins"), [(None, False), ("ACTIVE", True)])
def test_threads_do_not_spin_while_they_wait_unless_the_user_says_so(asked, spins):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE"} | ({} if asked is None else {"OMP_WAIT_POLICY": asked})
    command = [sys.executable, "-m", "sam_mprompt", "count", "no-such-adapter", "crowd.jpg"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stderr
    [count] = re.findall("GOMP_SPINCOUNT = '(.*)'", told)
    assert (count != "0") == spins


def test_count_prints_a_table_and_writes_csv_and_overlays(run_cli, trained_run, crowd_folder, tmp_path):
    images = [crowd_folder / "0.png", crowd_folder / "5.png"]
    done = run_cli("count", trained_run, *images, "--csv", tmp_path / "c.csv", "--overlay", tmp_path / "o")
    assert done.code == 0, done.err
    assert all(str(image) in done.out for image in images)
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [row["image"] for row in rows] == [str(image) for image in images]
    assert all(float(row["count"]) >= 0 for row in rows)
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"0.jpg", "5.jpg"}


def test_count_takes_folders_and_globs_and_prints_json(run_cli, trained_run, crowd_folder):
    folder = json.loads(run_cli("count", trained_run, crowd_folder, "--json").out)
    glob = json.loads(run_cli("count", trained_run, crowd_folder / "*.png", "--json").out)
    assert len(folder["images"]) == len(glob["images"]) == 11
    assert {row["image"]: row["count"] for row in folder["images"]} == {r["image"]: r["count"] for r in glob["images"]}


def test_overlays_of_images_with_one_name_do_not_overwrite_each_other(run_cli, trained_run, crowd_folder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes((crowd_folder / "5.png").read_bytes())
    assert run_cli("count", trained_run, tmp_path / "a", tmp_path / "b", "--overlay", tmp_path / "o").code == 0
    assert len(list((tmp_path / "o").iterdir())) == 2


def test_evaluate_prints_metrics_and_writes_json_and_worst_cases(run_cli, trained_run, crowd_folder, tmp_path):
    done = run_cli(
        *("evaluate", trained_run, "--data", crowd_folder, "--split", "val", "--per-image"),
        *("--json", tmp_path / "e.json", "--worst", tmp_path / "w", "--submission", tmp_path / "s.txt"),
    )
    assert done.code == 0, done.err
    assert "MAE" in done.out
    assert "RMSE" in done.out
    record = json.loads((tmp_path / "e.json").read_text())
    errors = [row["predicted"] - row["actual"] for row in record["rows"]]
    assert record["metrics"]["mae"] == pytest.approx(np.abs(errors).mean())
    assert record["metrics"]["rmse"] == pytest.approx(np.sqrt(np.square(errors).mean()))
    assert len(list((tmp_path / "w").iterdir())) == 3
    assert all(re.fullmatch(r"\d+ \d+\.\d{4}", line) for line in (tmp_path / "s.txt").read_text().splitlines())


def test_evaluate_locates_heads_when_asked(run_cli, trained_run, crowd_folder, tmp_path):
    asked = ["evaluate", trained_run, "--data", crowd_folder, "--split", "val", "--json", tmp_path / "e.json"]
    done = run_cli(*asked, "--localise", "--locations", tmp_path / "l.txt")
    assert done.code == 0, done.err
    assert "sigma_s" in done.out
    found = json.loads((tmp_path / "e.json").read_text())["localisation"]
    assert found["sigma_s"]["actual"] == found["sigma_l"]["actual"] > 0
    assert 0 <= found["sigma_s"]["f1"] <= found["sigma_l"]["f1"] <= 1
    lines = [line.split() for line in (tmp_path / "l.txt").read_text().splitlines()]
    assert all(len(line) == 2 + 2 * int(line[1]) for line in lines)
    assert "sigma_s" not in run_cli(*asked).out


def test_evaluate_compares_a_runs_masks_with_head_boxes(run_cli, trained_run, crowd_folder, tmp_path):
    asked = ["--data", crowd_folder, "--split", "val", "--masks"]
    done = run_cli("evaluate", trained_run, *asked, "--json", tmp_path / "e.json")
    assert done.code == 0, done.err
    assert "Mask IoU" in done.out
    assert 0 <= json.loads((tmp_path / "e.json").read_text())["mask_iou"] <= 1
    run_cli("export", trained_run, "--to", tmp_path / "copy")
    refused = run_cli("evaluate", tmp_path / "copy", *asked)
    assert (refused.code, "keeps no segmenter" in refused.err) == (2, True)


def test_files_are_written_even_when_the_reader_of_stdout_has_gone(trained_run, crowd_folder, tmp_path):
    base = [sys.executable, "-m", "sam_mprompt"]
    evaluate = ["evaluate", trained_run, "--data", crowd_folder, "--json", tmp_path / "e.json"]
    with subprocess.Popen([*base, *evaluate], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert json.loads((tmp_path / "e.json").read_text())["rows"]


def test_the_run_and_its_evaluation_agree_on_the_validation_split(run_cli, trained_run, crowd_folder, tmp_path):
    run_cli("evaluate", trained_run, "--data", crowd_folder, "--split", "val", "--json", tmp_path / "e.json")
    expected = json.loads((trained_run / "adapter" / "metrics.json").read_text())["val"]
    assert json.loads((tmp_path / "e.json").read_text())["metrics"] == pytest.approx(expected, rel=1e-4)


def test_finetune_numbers_a_second_run_and_overwrites_nothing(
    run_cli, tiny_recipe, crowd_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    runs = []
    for _ in range(2):
        done = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--set", "train.epochs=1", "--json")
        assert done.code == 0, done.err
        runs.append(json.loads(done.out)["run"])
    assert runs == ["runs/tiny", "runs/tiny-2"]
    again = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", "runs/tiny")
    assert (again.code, "not empty" in again.err) == (2, True)


def test_finetune_prints_what_trains_and_plain_lines_when_not_on_a_terminal(
    run_cli, tiny_recipe, crowd_folder, tmp_path
):
    done = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", tmp_path / "r")
    assert re.search(r"parameters train \(\d+\.\d %\)", done.err)
    assert done.err.count("val_mae") == 3
    assert "\x1b[" not in done.err
    assert "validation MAE" in done.out
    assert "predicting the mean" in done.out


def test_adapters_are_listed_shown_and_verified(run_cli, trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(trained_run)
    assert "mine" in {row["name"] for row in json.loads(run_cli("adapters", "list", "--json").out)}
    shown = json.loads(run_cli("adapters", "show", "mine", "--json").out)
    assert shown["parameters_in_encoder_adapter"] == 2 * 2 * (2 * 32 * 8 + 8 + 32)
    assert "intact, fits base" in run_cli("adapters", "verify", "mine").out


def test_recipes_are_listed_shown_and_copied(run_cli, tmp_path):
    assert {row["name"] for row in json.loads(run_cli("recipes", "list", "--json").out)} == set(recipe_files())
    assert run_cli("recipes", "show", "shb").out == recipe_files()["shb"].read_text()
    assert "epochs = 5\n" in run_cli("recipes", "show", "shb", "--set", "train.epochs=5").out
    assert run_cli("recipes", "copy", "shb", tmp_path / "mine.toml").code == 0
    assert run_cli("recipes", "copy", "shb", tmp_path / "mine.toml").code == 2


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


def broken_image(path, kind):
    """Write an image of an awkward kind; all but the truncated one must be counted."""
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    if kind == "16-bit":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path)
    elif kind == "palette":
        image.quantize(64).save(path)
    elif kind == "grey":
        image.convert("L").save(path)
    elif kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    elif kind == "truncated":
        image.save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:1500])
    return path


@pytest.mark.parametrize("kind", ["16-bit", "palette", "grey", "exif"])
def test_awkward_images_are_counted(run_cli, trained_run, tmp_path, kind):
    done = run_cli("count", trained_run, broken_image(tmp_path / "x.png", kind), "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)["images"][0]
    assert (row["width"], row["height"]) == ((70, 90) if kind == "exif" else (90, 70))


def test_a_truncated_image_exits_with_2_alone_and_with_1_among_others(run_cli, trained_run, crowd_folder, tmp_path):
    image = broken_image(tmp_path / "cut.jpg", "truncated")
    alone = run_cli("count", trained_run, image)
    assert alone.code == 2
    assert "cut.jpg" in alone.err
    among = run_cli("count", trained_run, crowd_folder / "0.png", image, "--json")
    assert among.code == 1
    assert "1 of 2 images could not be counted" in among.err
    assert len(json.loads(among.out)["images"]) == 1


def folder_with(tmp_path, annotation, image=True):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (64, 64)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("10 10\n20 20\n")
    if annotation is None:
        (folder / "a.txt").unlink()
    else:
        (folder / "a.txt").write_text(annotation)
    return folder


@pytest.mark.parametrize(
    ("annotation", "said"), [(None, "without annotation"), ("5 5\n99 99\n-1 5\n", "outside"), ("", None)]
)
def test_odd_annotations_are_counted_and_training_goes_on(run_cli, tiny_recipe, tmp_path, annotation, said):
    folder = folder_with(tmp_path, annotation)
    more = ["--set", "targets.pseudo_mask=points", "--set", "train.epochs=1", "--set", "data.val_fraction=0.4"]
    done = run_cli("finetune", "--recipe", tiny_recipe, "--data", folder, "--out", tmp_path / "run", *more)
    checked = run_cli("data", "check", folder, "--format", "points")
    assert done.code == 0, done.err
    if said is not None:
        assert said in re.sub(r"\s+", " ", done.err + checked.out + checked.err)


WRONG = {
    "an unknown recipe": (["finetune", "--recipe", "nwpuu"], "Did you mean 'nwpu'"),
    "an unknown key": (["finetune", "--recipe", "shb", "--set", "train.epoch=3"], "Did you mean 'epochs'"),
    "a wrong type": (["finetune", "--recipe", "shb", "--set", "train.epochs=many"], "expected a valid integer"),
    "a missing dataset": (["finetune", "--recipe", "shb"], "SAM_MPROMPT_DATA"),
    "a missing adapter": (["count", "nobody", "x.jpg"], "No "),
    "a missing checkpoint": (["checkpoints", "verify", "sam_vit_x"], "Did you mean"),
    "nothing to resume": (["finetune", "--recipe", "demo", "--resume"], "Nothing to resume"),
    "an unknown command": (["finetun"], "No such command"),
    "a missing option": (["finetune"], "Missing option"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_exits_with_2_and_says_what_to_do(run_cli, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    arguments, message = WRONG[case]
    done = run_cli(*arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_dataset_of_another_format_is_refused_and_says_what_it_looked_for(run_cli, crowd_folder, tmp_path):
    said = ["--data", crowd_folder, "--format", "shanghaitech"]
    done = run_cli("finetune", "--recipe", "shb", *said, "--base", "random:tiny", "--out", tmp_path / "r")
    assert done.code == 2
    assert "shanghaitech" in done.err
    assert not (tmp_path / "r" / "state").exists()
