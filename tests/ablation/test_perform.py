import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from sam_mprompt.ablation.perform import perform, refuse_other_training, train_run
from sam_mprompt.ablation.records import Record, append_record, read_records, run_fingerprint
from sam_mprompt.ablation.report import csv_text, markdown, plot
from sam_mprompt.ablation.variants import Ablation, dataset_of, load_ablation, plan
from sam_mprompt.data.masks import write_mask
from sam_mprompt.data.sources import open_split
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.masks.make import PointMasks, make_masks
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.find import recipe_files
from sam_mprompt.recipe.schema import TargetRecipe, load_recipe
from sam_mprompt.resources import bundled
from sam_mprompt.training.trained import load_run
from sam_mprompt.training.validation import validate_masks

ROWS = """
title = "Two rows"
[[rows]]
label = "regressor only"
set = ["loss.segmentation=0.0", "loss.context=0.0"]
paper = { tiny = 59.4 }
[[rows]]
label = "all"
"""


@pytest.fixture
def two_rows(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(ROWS)
    return path


def record(row, seed, mae, test=None):
    fixed = {"recipe": "demo", "settings": (), "machine": "m", "epochs": 9, "seconds": 120.0, "best_epoch": 8}
    figures = {"val_mae": mae, "val_rmse": mae + 1, "val_mean_mae": 91.5, "trainable": 1, "total": 2}
    tested = {} if test is None else {"test_mae": test, "test_rmse": test + 1}
    return Record(row=row, seed=seed, **fixed, **figures, **tested)


@pytest.mark.parametrize("name", sorted(path.stem for path in (bundled("recipes") / "ablation").glob("*.toml")))
@pytest.mark.parametrize("recipe", ["sha", "sha-hrnet", "sha-tiny-prompt", "nwpu"])
def test_every_row_of_the_papers_tables_is_a_valid_recipe(tmp_path, name, recipe):
    ablation = load_ablation(name)
    runs = plan(ablation, recipe, seeds={row.label: 1 for row in ablation.rows}, settings=(), out=tmp_path)
    assert len({run.folder.path for run in runs}) == len(ablation.rows)
    assert not any("{" in text for run in runs for text in run.settings)


def test_the_papers_table_2_is_there_with_its_figures():
    rows = load_ablation("table2").rows
    assert [row.paper["sha"] for row in rows] == [59.4, 58.4, 54.8, 53.9, 55.3, 54.1, 52.5]
    parts = [load_recipe("sha", row.set).loss for row in rows]
    switched = [(part.segmentation > 0, part.offline, part.online, part.context > 0) for part in parts]
    assert switched[1:] == [
        (True, False, False, False),
        (True, True, False, False),
        (True, True, True, False),
        (True, False, False, True),
        (True, True, False, True),
        (True, True, True, True),
    ]
    assert not switched[0][0]


def test_the_first_seed_of_every_row_comes_before_the_second_of_any(tmp_path, two_rows):
    runs = plan(load_ablation(two_rows), "demo", seeds={"regressor only": 3, "all": 2}, settings=(), out=tmp_path)
    assert [(run.row.label, run.seed) for run in runs] == [
        ("regressor only", 0),
        ("all", 0),
        ("regressor only", 1),
        ("all", 1),
        ("regressor only", 2),
    ]


def test_a_faulty_setting_is_found_before_anything_is_trained(tmp_path, two_rows):
    with pytest.raises(UsageError, match=r"train\.epoch.*epochs"):
        plan(
            load_ablation(two_rows),
            "demo",
            seeds={"regressor only": 1, "all": 1},
            settings=["train.epoch=3"],
            out=tmp_path,
        )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[[rows]]\nlabel = 'all'\n", "label of its own"),
        ("[[rows]]\nlabel = '- all'\n", "differ in letters or digits: all, - all"),
        ("[[rows]]\nlabel = '+'\n", "needs a letter"),
        ("[[rows]]\nlabel = 'x'\nx = 1.0\n", "every row has an x"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(tmp_path, two_rows, more, message):
    two_rows.write_text(ROWS + more)
    with pytest.raises(UsageError, match=message):
        load_ablation(two_rows)


def test_procedural_crowds_are_refused_a_test_before_anything_is_trained(tmp_path, two_rows, run_cli):
    folder = tmp_path / "out"
    outcome = run_cli("ablate", "--recipe", "demo", "--rows", two_rows, "--out", folder, "--test")
    assert outcome.code == 2
    assert "Leave out --test" in outcome.err
    assert not list(folder.glob("**/recipe.toml"))


def test_a_test_split_without_annotations_is_refused_before_anything_is_trained(
    tmp_path, tiny_recipe, crowd_folder, two_rows, run_cli
):
    folder, data = tmp_path / "out", tmp_path / "data"
    shutil.copytree(crowd_folder, data)
    for name in (data / "test.txt").read_text().split():
        (data / name).with_suffix(".json").unlink()
    outcome = run_cli("ablate", "--recipe", tiny_recipe, "--rows", two_rows, "--data", data, "--out", folder, "--test")
    assert outcome.code == 2
    assert "test split" in outcome.err
    assert not list(folder.glob("**/recipe.toml"))


def test_a_misspelt_table_is_suggested():
    with pytest.raises(UsageError, match="table2"):
        load_ablation("tabel2")


def test_the_dataset_is_a_key_of_a_recipe():
    assert [dataset_of(name) for name in ("sha", "shb-tiny-prompt", "nwpu-hrnet", "demo")] == ["sha", "shb", "nwpu", ""]


@pytest.mark.slow
def test_the_command_trains_all_rows_and_writes_table_csv_and_plot(
    tmp_path, tiny_recipe, crowd_folder, two_rows, run_cli
):
    arguments = ["ablate", "--recipe", tiny_recipe, "--rows", two_rows, "--data", crowd_folder, "--seeds", 2, "--test"]
    folder = tmp_path / "out"
    first = run_cli(*arguments, "--out", folder, "--set", "train.epochs=1")
    assert first.code == 0, first.err
    lines = (folder / "records.jsonl").read_text().splitlines()
    assert {(json.loads(line)["row"], json.loads(line)["seed"]) for line in lines} == {
        (row, seed) for row in ("regressor only", "all") for seed in (0, 1)
    }
    kept = next(record for line in lines if (record := json.loads(line))["row"] == "all" and record["seed"] == 0)
    log = [json.loads(line) for line in (folder / "all-0" / "metrics.jsonl").read_text().splitlines()]
    best = log[kept["best_epoch"] - 1]
    names = ("mae", "rmse", "nae")
    assert [best[f"val_{name}"] for name in names] == [kept[f"val_{name}"] for name in names]
    where = ["--data", crowd_folder, "--split", "test", "--json", tmp_path / "test.json"]
    assert run_cli("evaluate", folder / "all-0", *where).code == 0
    counted = json.loads((tmp_path / "test.json").read_text())["metrics"]
    assert [counted[name] for name in names] == [kept[f"test_{name}"] for name in names]
    assert "test MAE" in first.out
    assert "| 59.4 |" in first.out
    assert (folder / "table.md").read_text().strip() == first.out.strip()
    assert len((folder / "table.csv").read_text().splitlines()) == 5
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    again = run_cli(*arguments, "--out", folder, "--set", "train.epochs=1", "--json")
    assert [json.loads(line) for line in lines] == [
        {key: value for key, value in record.items() if value is not None} for record in json.loads(again.out)
    ]
    assert (folder / "records.jsonl").read_text().splitlines() == lines


@pytest.mark.slow
def test_an_interrupted_ablation_says_how_far_it_came_and_that_the_same_command_goes_on(
    tmp_path, tiny_recipe, crowd_folder, two_rows, run_cli, monkeypatch
):
    def interrupted(run, *arguments, **options):
        if run.row.label == "all":
            raise KeyboardInterrupt
        return train_run(run, *arguments, **options)

    arguments = ["ablate", "--recipe", tiny_recipe, "--rows", two_rows, "--data", crowd_folder]
    arguments += ["--out", tmp_path / "out", "--set", "train.epochs=1"]
    with monkeypatch.context() as patched:
        patched.setattr("sam_mprompt.ablation.perform.train_run", interrupted)
        stopped = run_cli(*arguments)
    assert stopped.code == 130
    assert "1 of 2 runs are done, the same command goes on" in stopped.err
    assert "2 of 2 runs are done" in run_cli(*arguments).err


def test_a_run_that_was_killed_before_it_saved_anything_starts_again(tmp_path, tiny_recipe, crowd_folder, two_rows):
    seeds = {"all": 1, "regressor only": 0}
    (run,) = plan(load_ablation(two_rows), str(tiny_recipe), seeds=seeds, settings=["train.epochs=1"], out=tmp_path)
    run.folder.path.mkdir(parents=True)
    run.folder.recipe.write_text("")
    run.folder.metrics.write_text('{"epoch": 7}')
    (record,) = perform([run], tmp_path / "records.jsonl", data=crowd_folder, test=False)
    assert record.epochs == 1


def test_a_record_has_the_overlap_of_masks_with_exact_boxes_where_there_are_both(
    tmp_path, tiny_recipe, crowd_folder, two_rows
):
    def trained(data, out, *more):
        settings = ["train.epochs=1", *more]
        ablation = load_ablation(two_rows)
        seeds = {row.label: 1 for row in ablation.rows}
        runs = plan(ablation, str(tiny_recipe), seeds=seeds, settings=settings, out=out)
        return runs, {record.row: record for record in perform(runs, out / "records.jsonl", data=data, test=False)}

    runs, records = trained(crowd_folder, tmp_path / "boxes")
    assert records["regressor only"].mask_iou is None
    run = next(run for run in runs if run.row.label == "all")
    recipe = load_recipe(run.recipe, run.settings)
    source = open_split(recipe, "val", crowd_folder).source
    counter = load_run(run.folder, device=torch.device("cpu")).counter
    boxes = TargetRecipe(pseudo_mask="boxes")
    expected = validate_masks(counter, source, recipe.geometry, Accelerator(), targets=boxes)
    assert records["all"].mask_iou == pytest.approx(expected)
    assert 0 < expected < 1

    points = tmp_path / "points"
    shutil.copytree(crowd_folder, points)
    for file in points.rglob("*.json"):
        annotated = json.loads(file.read_text())
        if isinstance(annotated, dict) and annotated.pop("boxes", None) is not None:
            file.write_text(json.dumps(annotated))
    assert trained(points, tmp_path / "no-boxes", "targets.pseudo_mask=points")[1]["all"].mask_iou is None


def test_records_without_test_figures_are_not_taken_for_tested_ones(tmp_path, tiny_recipe, crowd_folder, two_rows):
    seeds = {"all": 1, "regressor only": 0}
    (run,) = plan(load_ablation(two_rows), str(tiny_recipe), seeds=seeds, settings=(), out=tmp_path)
    known = record("all", 0, 5.0).model_copy(update={"recipe": run.recipe, "settings": run.settings})
    (tmp_path / "records.jsonl").write_text(known.model_dump_json() + "\n")
    assert not list(perform([run], tmp_path / "records.jsonl", data=crowd_folder, test=False))
    with pytest.raises(UsageError, match="without figures of the test split"):
        list(perform([run], tmp_path / "records.jsonl", data=crowd_folder, test=True))


def test_an_edited_recipe_or_other_data_is_not_taken_for_what_was_trained(
    tmp_path, tiny_recipe, crowd_folder, two_rows
):
    mine, data, records = tmp_path / "mine.toml", tmp_path / "data", tmp_path / "records.jsonl"
    shutil.copy(tiny_recipe, mine)
    shutil.copytree(crowd_folder, data)
    seeds = {"all": 1, "regressor only": 0}
    runs = plan(load_ablation(two_rows), str(mine), seeds=seeds, settings=["train.epochs=1"], out=tmp_path / "runs")

    def trained():
        return len(list(perform(runs, records, data=data, test=False)))

    assert [trained(), trained()] == [1, 0]
    mine.write_text(mine.read_text().replace("lr = 1e-3", "lr = 2e-3"))
    with pytest.raises(UsageError, match=r"recipe '.*mine\.toml' or the data has changed since"):
        trained()
    shutil.copy(tiny_recipe, mine)
    assert trained() == 0
    moved = json.loads((data / "3.json").read_text())
    moved["points"][0][0] += 1
    (data / "3.json").write_text(json.dumps(moved))
    with pytest.raises(UsageError, match="data has changed since"):
        trained()


def test_a_fingerprint_tells_settings_apart_and_not_where_they_are_written(tmp_path):
    source = open_split(load_recipe("demo"), "train", None).source
    spelt_out = tmp_path / "demo.toml"
    spelt_out.write_text(load_recipe("demo").to_toml())
    marks = [
        run_fingerprint(load_recipe(name, sets), source, source)
        for name, sets in (("demo", ()), (spelt_out, ()), ("demo", ["train.lr=1e-3"]), ("demo", ["train.seed=1"]))
    ]
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3


def test_a_fingerprint_tells_apart_what_is_trained_on_from_what_is_validated_on(tmp_path, crowd_folder):
    def mark(train, settings=()):
        for split, numbers in (("train", range(train)), ("val", range(train, 8))):
            (tmp_path / "data" / f"{split}.txt").write_text("\n".join(f"{number}.png" for number in numbers))
        recipe = load_recipe("demo", ["data.format=points", *settings])
        parts = (open_split(recipe, split, tmp_path / "data").source for split in ("train", "val"))
        return run_fingerprint(recipe, *parts)

    shutil.copytree(crowd_folder, tmp_path / "data")
    assert mark(6) == mark(6, ["train.workers=3", "data.root=elsewhere"])
    assert mark(6) != mark(5)
    label, without = (load_recipe("demo", ["data.format=points", *more]) for more in (["data.label=adult"], []))
    parts = [open_split(without, split, tmp_path / "data").source for split in ("train", "val")]
    assert run_fingerprint(label, *parts) != run_fingerprint(without, *parts)
    make_masks(PointMasks(3), tmp_path / "data", tmp_path / "masks")
    files = ["targets.pseudo_mask=files", f"targets.masks={tmp_path / 'masks'}"]
    marks = [mark(6, files)]
    write_mask(tmp_path / "masks" / "2.png", np.ones((80, 75), np.bool_))
    marks.append(mark(6, files))
    assert len({mark(6), *marks}) == 3


def test_a_run_that_was_cut_is_not_resumed_for_another_recipe(
    tmp_path, tiny_recipe, crowd_folder, two_rows, monkeypatch
):
    mine, records = tmp_path / "mine.toml", tmp_path / "records.jsonl"
    shutil.copy(tiny_recipe, mine)
    seeds = {"all": 1, "regressor only": 0}
    runs = plan(load_ablation(two_rows), str(mine), seeds=seeds, settings=["train.epochs=1"], out=tmp_path / "runs")

    def trained():
        return list(perform(runs, records, data=crowd_folder, test=False))

    def unrecorded(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sam_mprompt.ablation.perform.append_record", unrecorded)
        with pytest.raises(KeyboardInterrupt):
            trained()
    mine.write_text(mine.read_text().replace("lr = 1e-3", "lr = 2e-3"))
    with pytest.raises(UsageError, match="was begun by the same settings"):
        trained()
    shutil.copy(tiny_recipe, mine)
    assert [record.fingerprint is not None for record in trained()] == [True]


@pytest.mark.slow
def test_a_finished_table_is_drawn_again_without_the_data(tmp_path, tiny_recipe, crowd_folder, two_rows, run_cli):
    data, folder = tmp_path / "data", tmp_path / "out"
    shutil.copytree(crowd_folder, data)
    arguments = ["ablate", "--recipe", tiny_recipe, "--rows", two_rows, "--data", data, "--set", "train.epochs=1"]
    first = run_cli(*arguments, "--out", folder)
    shutil.rmtree(data)
    again = run_cli(*arguments, "--out", folder)
    assert (again.code, again.out) == (0, first.out)
    assert "Not compared with the data" in again.err


@pytest.mark.parametrize("missing", ["*", "3.png"])
def test_masks_that_are_missing_are_found_before_the_first_row_is_trained(
    tmp_path, tiny_recipe, crowd_folder, two_rows, run_cli, missing
):
    masks, folder = tmp_path / "masks", tmp_path / "out"
    make_masks(PointMasks(3), crowd_folder, masks)
    for path in masks.glob(missing):
        path.unlink()
    two_rows.write_text(ROWS + f"set = ['targets.pseudo_mask=files', 'targets.masks={masks}']")
    outcome = run_cli("ablate", "--recipe", tiny_recipe, "--rows", two_rows, "--data", crowd_folder, "--out", folder)
    assert outcome.code == 2
    assert "No pseudo mask" in outcome.err
    assert not list(folder.glob("**/recipe.toml"))


def test_a_record_cut_by_a_kill_costs_that_record_alone(tmp_path):
    path = tmp_path / "records.jsonl"
    for seed in (0, 1):
        append_record(path, record("all", seed, 5.0))
    whole = path.read_text()
    path.write_text(whole[:-30])
    assert read_records(path) == [record("all", 0, 5.0)]
    append_record(path, record("all", 1, 5.0))
    assert path.read_text() == whole
    path.write_bytes(whole.encode() + '{"row": "κ'.encode()[:-1])  # cut within a letter
    assert len(read_records(path)) == 2
    path.write_text(whole.strip())  # as an editor may leave it
    assert len(read_records(path)) == 2


def test_records_of_other_settings_are_not_mixed_in(tmp_path, tiny_recipe, two_rows):
    ablation = load_ablation(two_rows)
    (run,) = plan(ablation, str(tiny_recipe), seeds={"regressor only": 0, "all": 1}, settings=(), out=tmp_path)
    (tmp_path / "records.jsonl").write_text(record("all", 0, 5.0).model_dump_json() + "\n")
    with pytest.raises(UsageError, match="of another training"):
        list(perform([run], tmp_path / "records.jsonl", data=None, test=False))


def test_a_record_is_that_of_a_run_however_its_settings_are_spelt(tmp_path, tiny_recipe, two_rows):
    (run,) = plan(
        load_ablation(two_rows), str(tiny_recipe), seeds={"regressor only": 0, "all": 1}, settings=(), out=tmp_path
    )
    same = record("all", 0, 5.0).model_copy(update={"recipe": run.recipe, "settings": ("loss.kind=mse", *run.settings)})
    refuse_other_training(run, same, tmp_path, test=False)
    for settings in (("loss.threshold=0.1", *run.settings), ("loss.kept_no_longer=1", *run.settings)):
        with pytest.raises(UsageError, match="of another training"):
            refuse_other_training(run, same.model_copy(update={"settings": settings}), tmp_path, test=False)


def test_the_regressor_only_of_table_2_has_no_part_of_a_segmenter(tmp_path):
    ablation = load_ablation("table2")
    runs = plan(ablation, "shb-scratch", seeds={row.label: 1 for row in ablation.rows}, settings=(), out=tmp_path)
    recipes = {run.row.label: load_recipe(run.recipe, run.settings) for run in runs}
    built = {
        label: build_counter(recipe.model, recipe.tuning, segmenter=recipe.loss.segmentation > 0)
        for label, recipe in recipes.items()
        if label in ("regressor only", "all")
    }
    assert built["regressor only"].counter.segmenter is None
    assert built["all"].counter.predicts_masks


def test_a_run_that_fails_does_not_stop_the_others(tmp_path, tiny_recipe, crowd_folder, two_rows, monkeypatch):
    def failing(run, *arguments, **options):
        if run.row.label == "regressor only":
            raise RunError("the loss became NaN")
        return train_run(run, *arguments, **options)

    monkeypatch.setattr("sam_mprompt.ablation.perform.train_run", failing)
    runs = plan(
        load_ablation(two_rows),
        str(tiny_recipe),
        seeds={"regressor only": 1, "all": 1},
        settings=["train.epochs=1"],
        out=tmp_path,
    )
    found = perform(runs, tmp_path / "records.jsonl", data=crowd_folder, test=False)
    assert next(found).row == "all"
    with pytest.raises(RunError, match="1 of 2 runs failed"):
        next(found)
    assert [record.row for record in read_records(tmp_path / "records.jsonl")] == ["all"]


def test_no_run_starts_after_the_time_is_over(tmp_path, tiny_recipe, crowd_folder, two_rows):
    runs = plan(
        load_ablation(two_rows), str(tiny_recipe), seeds={"regressor only": 1, "all": 1}, settings=(), out=tmp_path
    )
    records = tmp_path / "records.jsonl"
    assert not list(perform(runs, records, data=crowd_folder, test=False, minutes=0))


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "records.jsonl").write_text('{"row": "all"}\n')
    with pytest.raises(UsageError, match="does not hold records of an ablation"):
        read_records(tmp_path / "records.jsonl")


def test_the_table_shows_mean_spread_every_seed_and_the_papers_figure(two_rows):
    ablation = load_ablation(two_rows)
    records = [record("all", 1, 24.0, 30.0), record("all", 0, 20.0, 28.0), record("regressor only", 0, 31.0, 33.0)]
    text = markdown(ablation, records, "tiny", (63.2, 85.7))
    assert "| predicting the mean of train |  |  | 91.5 | 63.2 | 85.7 |  |" in text
    assert "| all | 9 | 2.0 | 22.0 ± 2.8 (20.0, 24.0) | 29.0 ± 1.4 (28.0, 30.0) | 30.0 ± 1.4 (29.0, 31.0) |  |" in text
    assert "| regressor only | 9 | 2.0 | 31.0 | 33.0 | 34.0 | 59.4 |" in text
    widths = {line.count("|") for line in text.splitlines()}
    assert len(widths) == 1


def test_a_metric_that_only_some_records_have_is_shown_of_those(two_rows):
    kept = [record("all", seed, 20.0).model_copy(update={"val_nae": nae}) for seed, nae in ((0, 0.25), (1, 0.35))]
    text = markdown(load_ablation(two_rows), [*kept, record("regressor only", 0, 31.0)], "nothing")
    assert "|  | epochs | minutes | validation MAE | validation NAE |" in text
    assert "| 20.0 ± 0.0 (20.0, 20.0) | 0.300 ± 0.071 (0.250, 0.350) |" in text
    assert "| regressor only | 9 | 2.0 | 31.0 |  |" in text


def test_the_csv_has_a_line_per_run(two_rows):
    rows = list(csv.DictReader(io.StringIO(csv_text(load_ablation(two_rows), [record("all", 1, 24.0)], "tiny"))))
    assert [(row["row"], row["seed"], row["val_mae"], row["test_mae"]) for row in rows] == [("all", "1", "24.0", "")]


def test_rows_with_an_x_are_drawn_as_lines(tmp_path):
    rows = [{"label": f"{x} %", "line": "all", "x": float(x)} for x in (0, 50)]
    ablation = Ablation.model_validate({"title": "t", "rows": rows}, strict=False)
    plot(ablation, [record("0 %", 0, 20.0), record("50 %", 0, 30.0)], tmp_path / "noise.png")
    assert (tmp_path / "noise.png").read_bytes().startswith(b"\x89PNG")


def test_lines_that_lie_close_together_stay_inside_the_plot(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    limits = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **k: (limits.append(f.axes[0].get_ylim()), save(f, *a, **k)))
    rows = [{"label": f"{x} %", "line": "all", "x": float(x)} for x in (0, 50)]
    ablation = Ablation.model_validate({"title": "t", "rows": rows}, strict=False)
    plot(ablation, [record("0 %", 0, 298.0), record("50 %", 0, 300.0)], tmp_path / "noise.png")
    assert limits == [(pytest.approx(297.4), pytest.approx(300.6))]


def test_ablations_are_not_listed_as_recipes():
    assert not {"table2", "figure8"} & recipe_files().keys()
