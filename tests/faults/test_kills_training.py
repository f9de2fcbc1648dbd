"""Trainings, adapters and caches that are killed at random moments lose nothing, and end in the same bits."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from faults.caches import features
from faults.killing import share, survive
from small_training import small_session

from sam_mprompt.ablation.perform import folder_of_runs, perform
from sam_mprompt.ablation.records import read_records
from sam_mprompt.ablation.variants import load_ablation, plan
from sam_mprompt.adapter.calibration_file import CalibrationFile
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.recipe.schema import parse_recipe
from sam_mprompt.tensor_files import read_tensors
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.state import load_state

OF_THE_CLOCK = {"seconds", "images_per_s", "memory_mb"}
SHORT = {"epochs": 3, "ema": 0.9, "save_minutes": 1e-9}


def train(folder: Path) -> None:
    """Train a small counter, a save after each step; go on where there is a state."""
    run = RunFolder(folder / "run")
    run.recover()
    resume = run.has_state
    if not resume:
        run.recipe.unlink(missing_ok=True)  # `small_session` writes it itself, and earlier than a training does
    with RunFolder.claimed("small", run.path, resume=resume):
        session = small_session(run.path, SHORT)
        parts = session.parts
        if resume:
            session.progress = load_state(run, parts.counter, parts.optimizer, average=parts.average, scaler=None)
        session.fit()


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in OF_THE_CLOCK}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [timeless(json.loads(line)) for line in path.read_text().splitlines()]


def trained(folder: Path) -> dict[str, Any]:
    """What a run came to: the bytes of its weights, optimizer, average and random state, its log and its files."""
    run = RunFolder(folder / "run")
    progress = json.loads((run.state / "progress.json").read_text())["progress"]
    return {
        "state": (run.state / "state.safetensors").read_bytes(),
        "progress": timeless(progress),
        "adapter": (run.adapter / "adapter_model.safetensors").read_bytes(),
        "log": lines_of(run.metrics),
        "held out": run.held_out.read_bytes(),
        "files": sorted(path.name for path in run.path.iterdir()),
    }


def readable(folder: Path) -> None:
    """Whoever looks at a killed run, without mending it, finds whole files and no adapter gone."""
    run = RunFolder(folder / "run")
    if run.recipe.is_file() and run.has_state:
        parse_recipe(tomllib.loads(run.recipe.read_text()), source="the killed run's")
    for state in (run.state, run.state_before):
        goes = state == run.state_before and not (state / "progress.json").exists()  # the training is done
        if state.is_dir() and not goes:
            record = json.loads((state / "progress.json").read_text())
            read_tensors(state / "state.safetensors", sha256=record["tensors"])
    if run.held_out.is_file():  # it is written after the first adapter
        AdapterFolder.read(run.adapter)


@pytest.mark.slow
def test_a_killed_training_ends_in_the_weights_of_an_undisturbed_one(tmp_path):
    survive(train, tmp_path, trained, kills=share(25), name="training", check=readable)


def calibration(number: int) -> CalibrationFile:
    counted = tuple(float(heads + number) for heads in range(1, 21))
    return CalibrationFile(origin="val", heads=tuple(range(1, 21)), counted=counted)


@pytest.fixture
def adapter(tmp_path):
    """An adapter folder of a small training."""
    small_session(tmp_path / "given", {"epochs": 1}).fit()
    return AdapterFolder.read(tmp_path / "given" / "adapter")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.slow
def test_an_adapter_that_is_written_in_place_is_whole_at_every_moment(tmp_path, adapter):
    def recalibrate(folder: Path) -> None:
        place = folder / "adapter"
        known = AdapterFolder.read(place) if place.exists() else adapter.export(place, dtype="float32")
        for number in range(4):
            known = known.recalibrate(calibration(number))

    def whole(folder: Path) -> None:
        if (folder / "adapter").exists():
            begun.add(folder)
        if folder in begun:
            AdapterFolder.read(folder / "adapter")

    begun: set[Path] = set()
    survive(recalibrate, tmp_path, contents, kills=share(15), name="adapter", check=whole)


@pytest.mark.slow
def test_a_killed_cache_of_features_goes_on_to_the_same_bytes(tmp_path, tiny_recipe, crowd_folder):
    survive(features(tiny_recipe, crowd_folder), tmp_path, contents, kills=share(10), name="features")


ROWS = """
title = "Two rows"
[[rows]]
label = "regressor only"
set = ["loss.segmentation=0.0", "loss.context=0.0"]
[[rows]]
label = "all"
"""


@pytest.mark.slow
def test_a_killed_ablation_trains_every_run_once_and_to_the_same_weights(tmp_path, tiny_recipe, crowd_folder):
    (tmp_path / "two.toml").write_text(ROWS)
    settings = ["train.epochs=1", "train.preview_every=0", "train.save_minutes=1e-9"]

    def ablate(folder: Path) -> None:
        out = folder / "out"
        runs = plan(
            load_ablation(tmp_path / "two.toml"),
            str(tiny_recipe),
            seeds={"regressor only": 1, "all": 1},
            settings=settings,
            out=out,
        )
        with folder_of_runs(out):
            for _ in perform(runs, out / "records.jsonl", data=crowd_folder, test=False):
                pass

    def rows(folder: Path) -> list[object]:
        records = [record.model_dump(exclude=OF_THE_CLOCK) for record in read_records(folder / "out" / "records.jsonl")]
        weights = [path.read_bytes() for path in sorted((folder / "out").rglob("*.safetensors"))]
        assert len(records) == 2
        assert len(weights) == 4
        return [records, weights]

    def records_are_read(folder: Path) -> None:
        read_records(folder / "out" / "records.jsonl")

    survive(ablate, tmp_path, rows, kills=share(5), name="ablate", check=records_are_read)
