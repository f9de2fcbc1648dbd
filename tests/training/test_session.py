import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.loading import load_adapter
from sam_mprompt.counting.predict import predict_density
from sam_mprompt.counting.torch_backend import TorchBackend
from sam_mprompt.data.image import read_image
from sam_mprompt.errors import Interrupted, RunError, UsageError
from sam_mprompt.masks.make import SegmenterMasks, make_masks
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tensor_files import read_tensors
from sam_mprompt.training.ema import MovingAverage, trained_tensors
from sam_mprompt.training.finetune import SegmenterResult, claimed_run, finetune
from sam_mprompt.training.held_out import read_held_out
from sam_mprompt.training.observer import SILENT, Observer
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.training.stopping import StopRequest
from sam_mprompt.tuning.selection import base_tensors


def session(tiny_recipe, crowd_folder, run, *overrides, resume=False, observer=SILENT):
    recipe = load_recipe(tiny_recipe, overrides)
    data = TrainingData.open(recipe, crowd_folder)
    return TrainingSession.open(recipe, data, RunFolder(run), resume=resume, observer=observer)


def metrics_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def state_of(run):
    return read_tensors(run / "state" / "state.safetensors")


def test_a_run_folder_holds_state_metrics_recipe_previews_and_the_adapter(trained_run, tiny_recipe):
    names = {path.name for path in trained_run.iterdir()}
    assert names == {"state", "metrics.jsonl", "recipe.toml", "previews", "adapter", "overlay.jpg", "held_out.jsonl"}
    records = metrics_of(trained_run)
    assert [record["epoch"] for record in records] == [1, 2, 3]
    for key in ("loss", "density", "segmentation", "context", "overlap", "lr", "images_per_s", "memory_mb", "val_mae"):
        assert all(np.isfinite(record[key]) for record in records), key
    assert load_recipe(trained_run / "recipe.toml") == load_recipe(tiny_recipe).model_copy(update={"name": "tiny"})
    for picture in (trained_run / "previews").iterdir():
        assert Image.open(picture).width > 300


def test_an_adapter_has_the_error_bars_and_figures_of_its_val_split_and_the_scope_of_its_images(trained_run):
    adapter = AdapterFolder.read(trained_run / "adapter")
    rows = read_held_out(trained_run / "held_out.jsonl")
    assert [row.fold for row in rows] == [0, 0, 0]
    assert adapter.calibration is not None
    assert adapter.calibration.origin == "val"
    assert adapter.calibration.heads == tuple(row.heads for row in rows)
    assert adapter.calibration.counted == tuple(row.counted for row in rows)
    best = min(metrics_of(trained_run), key=lambda record: record["val_mae"])
    assert adapter.metrics["val"]["mae"] == best["val_mae"]
    assert adapter.metrics["epoch"] == best["epoch"]
    assert "folds" not in adapter.metrics
    assert adapter.metrics["environment"]["device"] == "cpu"
    assert adapter.scope is not None
    assert adapter.scope.images == 6


def test_training_lowers_the_loss_and_beats_predicting_the_mean(tmp_path, tiny_recipe, crowd_folder):
    overrides = ["train.epochs=30", "train.lr=3e-3", "train.validate_every=10", "train.preview_every=0"]
    result = finetune(load_recipe(tiny_recipe, overrides), data=crowd_folder, run=RunFolder(tmp_path / "run"))
    records = metrics_of(tmp_path / "run")
    assert records[-1]["loss"] < 0.6 * records[0]["loss"]
    assert result.val_mae < result.mean_mae


def test_after_training_every_base_tensor_is_bit_identical(tmp_path, tiny_recipe, tiny_base, crowd_folder):
    trained = session(tiny_recipe, crowd_folder, tmp_path / "run")
    trained.fit()
    after = base_tensors(trained.counter.encoder)
    before = load_file(tiny_base)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_adapter_counts_as_the_model_that_was_trained(tmp_path, tiny_recipe, crowd_folder):
    trained = session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1")
    trained.fit()
    loaded = load_adapter(AdapterFolder.read(tmp_path / "run" / "adapter")).counter
    image = read_image(crowd_folder / "9.png")
    with trained.parts.average.applied(trained.counter):
        expected = predict_density(TorchBackend(trained.counter, "cpu"), image, trained.recipe.geometry).count
    assert predict_density(TorchBackend(loaded, "cpu"), image, trained.recipe.geometry).count == pytest.approx(
        expected, rel=1e-4
    )
    assert expected > 0


@pytest.mark.parametrize(
    "row",
    [
        ["loss.segmentation=0", "loss.context=0"],
        ["loss.context=0", "loss.offline=false", "loss.online=false"],
        ["loss.context=0", "loss.online=false"],
        ["loss.context=0"],
        ["loss.offline=false", "loss.online=false"],
        ["loss.online=false"],
        [],
    ],
)
def test_every_row_of_the_papers_ablation_trains(tmp_path, tiny_recipe, crowd_folder, row):
    session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=2", *row).fit()
    record = metrics_of(tmp_path / "run")[-1]
    assert ("segmentation" in record) == (row[:1] != ["loss.segmentation=0"])
    assert ("context" in record) == ("loss.context=0" not in row)


@pytest.mark.parametrize("method", ["lora", "dora", "none"])
def test_other_tuning_methods_train_and_load(tmp_path, tiny_recipe, crowd_folder, method):
    overrides = [f"tuning.method={method}", "train.epochs=1", *(["tuning.options.r=4"] if method != "none" else [])]
    session(tiny_recipe, crowd_folder, tmp_path / "run", *overrides).fit()
    load_adapter(AdapterFolder.read(tmp_path / "run" / "adapter"))


def test_a_native_recipe_trains_everything_and_its_folder_holds_the_whole_model(tmp_path, tiny_recipe, crowd_folder):
    overrides = ["tuning.method=full", "model.gate=segmenter", "train.epochs=1"]
    session(tiny_recipe, crowd_folder, tmp_path / "run", *overrides).fit()
    adapter = AdapterFolder.read(tmp_path / "run" / "adapter")
    assert adapter.info.native
    assert any(name.startswith("counter.encoder.") for name in adapter.tensors)
    assert "whole model" in (tmp_path / "run" / "adapter" / "README.md").read_text()
    load_adapter(adapter)
    exported = adapter.export(tmp_path / "half", dtype="float16")
    assert exported.info.dtype == "float32"  # no prompt module to narrow, and its record does not claim one
    assert not any(tensor.dtype == torch.float16 for tensor in exported.tensors.values())


def test_a_frozen_timm_model_without_published_weights_is_the_same_base_when_loaded(
    tmp_path, tiny_recipe, crowd_folder
):
    frozen = ["model.encoder=timm", "model.base=resnet10t", "model.pretrained=false", "tuning.method=none"]
    session(tiny_recipe, crowd_folder, tmp_path / "run", *frozen, "train.epochs=1", "train.seed=5").fit()
    torch.manual_seed(77)
    loaded = load_adapter(AdapterFolder.read(tmp_path / "run" / "adapter"))
    recipe = load_recipe(tiny_recipe, frozen)
    anew = build_counter(recipe.model, recipe.tuning, segmenter=False)
    assert loaded.base.fingerprint == anew.base.fingerprint


def test_a_native_timm_model_from_scratch_starts_from_the_seed(tiny_recipe):
    recipe = load_recipe(
        tiny_recipe,
        ["model.encoder=timm", "model.base=resnet10t", "model.pretrained=false", "tuning.method=full"],
    )
    drawn = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        drawn.append(build_counter(recipe.model, recipe.tuning, segmenter=False).base.fingerprint)
    assert drawn[0] == drawn[2] != drawn[1]


@pytest.mark.slow
def test_a_segmenter_alone_learns_the_boxes_and_makes_masks(tmp_path, tiny_recipe, crowd_folder):
    alone = ["loss.density=0", "loss.context=0", "loss.online=false", "loss.offline=false", "train.epochs=25"]
    recipe = load_recipe(tiny_recipe, [*alone, "train.lr=1e-2", "train.ema=0", "model.stem_channels=8"])
    run = tmp_path / "run"
    result = finetune(recipe, data=crowd_folder, run=RunFolder(run))
    assert isinstance(result, SegmenterResult)
    records = metrics_of(run)
    assert result.val_iou == records[-1]["val_iou"] > 0.2
    assert records[-1]["segmentation"] < 0.7 * records[0]["segmentation"]
    assert not (run / "adapter").exists()
    session = TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(tmp_path / "other"))
    assert not any(parameter.requires_grad for parameter in session.counter.regressor.parameters())
    made = make_masks(SegmenterMasks(run, device=torch.device("cpu")), crowd_folder, tmp_path / "masks")
    assert made.made == 11


def test_a_segmenter_alone_with_prompts_is_refused(tiny_recipe):
    with pytest.raises(UsageError, match="density = 0 trains a segmenter alone"):
        load_recipe(tiny_recipe, ["loss.density=0"])


@pytest.mark.parametrize("kind", [[], ["tuning.method=full", "model.gate=segmenter"]])
def test_training_starts_from_an_adapters_weights(tmp_path, tiny_recipe, crowd_folder, kind):
    session(tiny_recipe, crowd_folder, tmp_path / "first", "train.epochs=1", *kind).fit()
    given = AdapterFolder.read(tmp_path / "first" / "adapter").tensors
    started = session(tiny_recipe, crowd_folder, tmp_path / "second", f"train.init_from={tmp_path / 'first'}", *kind)
    AdapterFolder.of(tmp_path / "start", started.built, started.recipe, metrics={}).write()
    written = AdapterFolder.read(tmp_path / "start").tensors
    assert written.keys() == given.keys()
    assert all(torch.equal(written[name], given[name]) for name in given)
    assert started.counter.segmenter is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tuning.method=lora", "train.init_from: expected an adapter of tuning.method = 'lora'"),
        ("tuning.bottleneck=4", "reshaped"),
        ("model.stem_channels=8", "missing"),
    ],
)
def test_starting_from_an_adapter_of_another_shape_is_refused(
    tmp_path, trained_run, tiny_recipe, crowd_folder, change, message
):
    with pytest.raises(UsageError, match=message):
        session(tiny_recipe, crowd_folder, tmp_path / "run", f"train.init_from={trained_run}", change)


def test_the_same_seed_gives_the_same_bits_of_state_and_adapter(tmp_path, tiny_recipe, crowd_folder):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        session(tiny_recipe, crowd_folder, tmp_path / name, "train.epochs=2", f"train.seed={seed}").fit()
    for file in ("state/state.safetensors", "adapter/adapter_model.safetensors"):
        first, second, other = ((tmp_path / name / file).read_bytes() for name in ("a", "b", "c"))
        assert first == second
        assert first != other


SLIM = {**os.environ, "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "sam_mprompt", "finetune"]


def start(recipe, data, run, *more, **options):
    return subprocess.Popen(
        [*COMMAND, "--recipe", recipe, "--data", data, "--out", run, *more],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=SLIM,
        **options,
    )


def wait_for_lines(run, lines, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        log = run / "metrics.jsonl"
        if log.is_file() and log.read_text().count("\n") >= lines:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {lines} lines of metrics before the process ended: {process.stderr.read().decode()}")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(tmp_path, tiny_recipe, crowd_folder, number):
    longer = ["--set", "train.epochs=8", "--set", "train.save_minutes=0.0001", "--set", "train.gradient_accumulation=2"]
    with start(tiny_recipe, crowd_folder, tmp_path / "whole", *longer) as process:
        assert process.wait() == 0, process.stderr.read().decode()
    with start(tiny_recipe, crowd_folder, tmp_path / "cut", *longer) as process:
        wait_for_lines(tmp_path / "cut", 2, process)
        process.send_signal(number)
        code = process.wait()
        said = process.stderr.read().decode()
    assert ("the state is saved. Go on with --resume --out" in said) == (number != signal.SIGKILL)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert len(metrics_of(tmp_path / "cut")) < 8
    with start(tiny_recipe, crowd_folder, tmp_path / "cut", "--resume") as process:
        assert process.wait() == 0, process.stderr.read().decode()
    whole, cut = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []
    assert [record["epoch"] for record in metrics_of(tmp_path / "cut")] == list(range(1, 9))
    adapters = [read_tensors(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("whole", "cut")]
    assert all(torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[0])


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_the_workers_to_finish_the_step(tmp_path, tiny_recipe, crowd_folder):
    longer = ["--set", "train.epochs=50", "--set", "train.workers=2"]
    with start(tiny_recipe, crowd_folder, tmp_path / "run", *longer, start_new_session=True) as process:
        wait_for_lines(tmp_path / "run", 1, process)
        os.killpg(process.pid, signal.SIGTERM)
        code = process.wait()
        said = process.stderr.read().decode()
    assert code == 130, said
    assert "the state is saved" in said


@pytest.mark.parametrize("asked", [False, True], ids=["by itself", "with the whole program"])
def test_a_worker_that_is_ended_costs_nothing_that_was_trained(tmp_path, tiny_recipe, crowd_folder, monkeypatch, asked):
    """`pkill sam-mprompt` ends workers and asks the main process to stop."""
    request = StopRequest()

    def two_batches(loader, _while_waiting):
        yield from itertools.islice(loader, 2)
        request.asked = asked
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")

    monkeypatch.setattr("sam_mprompt.training.session.patiently", two_batches)
    monkeypatch.setattr("sam_mprompt.training.session.stop_on_signals", lambda _say: nullcontext(request))
    cut = session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1", "train.batch_size=2")
    expected = (Interrupted, "the state is saved") if asked else (RunError, r"A data worker \(process 7\)")
    with pytest.raises(expected[0], match=expected[1]):
        cut.fit()
    assert cut.progress.batch == 2
    assert json.loads((tmp_path / "run" / "state" / "progress.json").read_text())["progress"]["batch"] == 2


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(tmp_path, tiny_recipe, crowd_folder):
    broken = session(tiny_recipe, crowd_folder, tmp_path / "run")

    def poisoned(_counter, _inputs, output):
        return replace(output, density=output.density * (float("nan") if broken.progress.step == 2 else 1.0))

    broken.counter.register_forward_hook(poisoned)
    with pytest.raises(RunError, match=r"not finite in epoch 1, batch 3: .*density nan.*Images: .*\.png"):
        broken.fit()
    assert all(tensor.isfinite().all() for tensor in state_of(tmp_path / "run").values())


def test_the_adapter_is_that_of_the_best_epoch_on_validation(tmp_path, tiny_recipe, crowd_folder, monkeypatch):
    figures = iter([5.0, 3.0, 4.0])

    def counted(*_, **__):
        return [(10.0 + next(figures), 10)]

    monkeypatch.setattr("sam_mprompt.training.session.count_all", counted)
    recipe = load_recipe(tiny_recipe, ["train.epochs=3", "train.validate_every=1"])
    result = finetune(recipe, data=crowd_folder, run=RunFolder(tmp_path / "run"))
    assert (result.epoch, result.val_mae, result.epochs) == (2, 3.0, 3)
    assert json.loads((tmp_path / "run" / "adapter" / "metrics.json").read_text())["epoch"] == 2


def test_a_state_with_nan_never_replaces_a_good_one(tmp_path, tiny_recipe, crowd_folder, monkeypatch):
    broken = session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1")
    broken.fit()
    good = state_of(tmp_path / "run")
    with torch.no_grad():
        broken.counter.regressor.output.bias.fill_(float("nan"))
    with pytest.raises(RunError, match=r"regressor\.output\.bias"):
        broken.save()
    assert all(torch.equal(good[name], tensor) for name, tensor in state_of(tmp_path / "run").items())


def test_a_full_disk_while_saving_keeps_the_last_state(tmp_path, tiny_recipe, crowd_folder, monkeypatch):
    running = session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1")
    running.fit()
    good = state_of(tmp_path / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sam_mprompt.training.state.write_tensors", full)
    with pytest.raises(RunError, match="No space left"):
        running.save()
    assert all(torch.equal(good[name], tensor) for name, tensor in state_of(tmp_path / "run").items())


def test_a_disk_that_takes_no_more_ends_the_command_with_1_and_one_line(tmp_path, tiny_recipe, crowd_folder, run_cli):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        done = run_cli("finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.code == 1
    assert "Cannot write" in done.err
    assert "File too large" in done.err
    assert "Traceback" not in done.err
    assert not list((tmp_path / "run").rglob("*.part"))


def test_a_state_of_another_recipe_is_refused(tmp_path, tiny_recipe, crowd_folder):
    session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1").fit()
    with pytest.raises(UsageError, match="does not fit the recipe"):
        session(tiny_recipe, crowd_folder, tmp_path / "run", "tuning.bottleneck=4", resume=True)


class StopAfter(Observer):
    """Asks to stop, as Ctrl-C does, after so many batches of the whole training."""

    def __init__(self, batches):
        self.batches = batches

    def batch(self, done, total, values):
        if values and done == self.batches:
            os.kill(os.getpid(), signal.SIGINT)


def test_stopping_saves_the_state_at_once(tmp_path, tiny_recipe, crowd_folder):
    stopped = session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=50", observer=StopAfter(1))
    with pytest.raises(Interrupted, match="the state is saved") as told:
        stopped.fit()
    assert told.value.facts == {"run": tmp_path / "run"}
    assert json.loads((tmp_path / "run" / "state" / "progress.json").read_text())["progress"]["step"] == 1


def in_rounds(tiny_recipe, crowd_folder, run, *stops, overrides=()):
    """Train with an interruption after each of these numbers of batches."""
    for index, stop in enumerate(stops):
        with pytest.raises(Interrupted):
            session(tiny_recipe, crowd_folder, run, *overrides, resume=index > 0, observer=StopAfter(stop)).fit()
    session(tiny_recipe, crowd_folder, run, *overrides, resume=True).fit()


OF_THE_CLOCK = {"seconds", "images_per_s", "memory_mb"}


def test_the_metrics_of_an_epoch_that_was_interrupted_are_those_of_an_uninterrupted_one(
    tmp_path, tiny_recipe, crowd_folder
):
    overrides = ["train.epochs=1"]  # of 3 batches
    session(tiny_recipe, crowd_folder, tmp_path / "whole", *overrides).fit()
    in_rounds(tiny_recipe, crowd_folder, tmp_path / "cut", 1, 3, overrides=overrides)
    whole, cut = (
        [{key: value for key, value in record.items() if key not in OF_THE_CLOCK} for record in metrics_of(run)]
        for run in (tmp_path / "whole", tmp_path / "cut")
    )
    assert "loss" in whole[0]
    assert cut == whole


def test_a_state_without_sums_resumes_with_the_mean_of_the_batches_that_are_left(tmp_path, tiny_recipe, crowd_folder):
    told = []

    class Listening(Observer):
        def batch(self, done, total, values):
            told.append(values.get("loss"))

    def as_version_0_1_wrote_it(run):
        file = run / "state" / "progress.json"
        record = json.loads(file.read_text())
        for key in ("sums", "summed"):
            assert record["progress"].pop(key)
        del record["sha256"], record["tensors"]
        file.write_text(json.dumps(record))

    with pytest.raises(Interrupted):
        session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1", observer=StopAfter(1)).fit()
    as_version_0_1_wrote_it(tmp_path / "run")
    session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1", resume=True, observer=Listening()).fit()
    assert metrics_of(tmp_path / "run")[0]["loss"] == (told[1] + told[2]) / 2


class Killed(BaseException):
    """Ends a training at once, as no handler of ours expects it."""


def test_a_training_that_ends_anywhere_resumes_to_the_weights_of_an_uninterrupted_one(
    tmp_path, tiny_recipe, crowd_folder
):
    overrides = ["train.epochs=2", "train.save_minutes=1e-9", "train.gradient_accumulation=2", "train.preview_every=0"]

    class Dying(Observer):
        def batch(self, done, total, values):
            if done == 6:  # steps follow batches 2, 3, 5 and 6 of 6: the last state is that of 5
                raise Killed

    session(tiny_recipe, crowd_folder, tmp_path / "whole", *overrides).fit()
    with pytest.raises(Killed):
        session(tiny_recipe, crowd_folder, tmp_path / "cut", *overrides, observer=Dying()).fit()
    assert json.loads((tmp_path / "cut" / "state" / "progress.json").read_text())["progress"]["step"] == 3
    session(tiny_recipe, crowd_folder, tmp_path / "cut", *overrides, resume=True).fit()
    whole, cut = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []
    adapters = [read_tensors(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("whole", "cut")]
    assert all(torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[0])


class Doing(Observer):
    """Does something after the second batch."""

    def __init__(self, act):
        self.act = act

    def batch(self, done, total, values):
        if values and done == 2:
            self.act()


def test_a_run_that_is_deleted_while_it_is_trained_ends_with_one_line(tmp_path, tiny_recipe, crowd_folder):
    run = tmp_path / "run"
    overrides = ["train.epochs=1", "train.preview_every=0"]
    with (
        pytest.raises(RunError, match="was deleted or moved while it was trained"),
        claimed_run(str(tiny_recipe), overrides, run, resume=False) as (recipe, claimed),
    ):
        finetune(recipe, data=crowd_folder, run=claimed, observer=Doing(lambda: shutil.rmtree(run)))
    assert not run.exists()


def test_no_picture_is_drawn_in_a_run_that_was_deleted(tmp_path, tiny_recipe, crowd_folder):
    run = tmp_path / "run"
    overrides = ["train.epochs=3", "train.validate_every=3", "train.preview_every=1"]
    with pytest.raises(RunError, match="was deleted or moved while it was trained"):
        session(tiny_recipe, crowd_folder, run, *overrides, observer=Doing(lambda: shutil.rmtree(run))).fit()
    assert not run.exists()


def test_a_run_that_is_deleted_and_stopped_ends_with_one_line(tmp_path, tiny_recipe, crowd_folder):
    run = tmp_path / "run"

    def delete_and_stop():
        shutil.rmtree(run)
        os.kill(os.getpid(), signal.SIGINT)

    with (
        pytest.raises(RunError, match="was deleted or moved while it was trained"),
        claimed_run(str(tiny_recipe), [], run, resume=False) as (recipe, claimed),
    ):
        finetune(recipe, data=crowd_folder, run=claimed, observer=Doing(delete_and_stop))
    assert not run.exists()


def test_a_run_that_is_moved_while_it_is_trained_goes_on_from_where_it_is(tmp_path, tiny_recipe, crowd_folder):
    run, moved = tmp_path / "run", tmp_path / "moved"
    with pytest.raises(RunError, match="was deleted or moved while it was trained"):
        session(tiny_recipe, crowd_folder, run, "train.epochs=1", observer=Doing(lambda: run.rename(moved))).fit()
    resumed = session(tiny_recipe, crowd_folder, moved, "train.epochs=1", resume=True)
    assert resumed.fit().epochs == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_may_run_in_a_thread(tmp_path, tiny_recipe, crowd_folder, workers):
    recipe = load_recipe(tiny_recipe, ["train.epochs=1", "train.preview_every=0", f"train.workers={workers}"])
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(finetune, recipe, data=crowd_folder, run=RunFolder(tmp_path / "run")).result()
    assert result.epochs == 1
    assert result.adapter.is_dir()


def test_the_average_follows_the_weights_and_gives_them_back(tmp_path, tiny_recipe, crowd_folder):
    counter = session(tiny_recipe, crowd_folder, tmp_path / "run").counter
    average = MovingAverage(counter, 0.5)
    start_bias = counter.regressor.output.bias.detach().clone()
    with torch.no_grad():
        counter.regressor.output.bias.add_(1.0)
    average.decay, average.updates = 0.5, 100
    average.update(counter)
    with average.applied(counter):
        assert torch.allclose(counter.regressor.output.bias, start_bias + 0.5)
    assert torch.allclose(counter.regressor.output.bias, start_bias + 1.0)
    assert "regressor.last.1.running_mean" in trained_tensors(counter)
    assert not any(name.startswith("encoder.base_model.model.pos_embed") for name in trained_tensors(counter))


def test_muon_trains_resumes_and_keeps_its_momentum(tmp_path, tiny_recipe, crowd_folder):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    session(tiny_recipe, crowd_folder, whole, "train.optimizer=muon", "train.schedule=constant").fit()
    session(
        tiny_recipe, crowd_folder, halves, "train.optimizer=muon", "train.schedule=constant", "train.epochs=2"
    ).fit()
    assert metrics_of(whole)[-1]["loss"] < metrics_of(whole)[0]["loss"]
    session(tiny_recipe, crowd_folder, halves, "train.optimizer=muon", "train.schedule=constant", resume=True).fit()
    first, second = state_of(whole), state_of(halves)
    assert any(name.endswith(".momentum") for name in first)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_epoch_ends_with_a_step_however_many_batches_are_accumulated(tmp_path, tiny_recipe, crowd_folder):
    session(tiny_recipe, crowd_folder, tmp_path / "run", "train.gradient_accumulation=2", "train.epochs=2").fit()
    assert [record["step"] for record in metrics_of(tmp_path / "run")] == [2, 4]  # 3 batches: 2 and 1


def test_tensorboard_events_are_written_when_asked(tmp_path, tiny_recipe, crowd_folder):
    pytest.importorskip("tensorboard")
    session(tiny_recipe, crowd_folder, tmp_path / "run", "train.epochs=1", "train.tensorboard=true").fit()
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, tiny_recipe, crowd_folder):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "sam_mprompt"]
    command = [*launch, "finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--out", tmp_path / "run"]
    command += ["--set", "train.save_minutes=0.0001"]
    told = subprocess.run(command, check=True, env=SLIM, stderr=subprocess.PIPE, text=True).stderr
    assert told.count("train: 6 images") == 1, told  # one of them speaks for both
    progress = json.loads((tmp_path / "run" / "state" / "progress.json").read_text())["progress"]
    assert progress["step"] == 3 * 2, "each epoch's 6 images in batches of 2 for each of 2 processes"
    assert len(metrics_of(tmp_path / "run")) == 3
    load_adapter(AdapterFolder.read(tmp_path / "run" / "adapter"))


def test_a_training_begins_with_the_counts_of_its_images_and_one_that_is_resumed_does_not(
    tmp_path, tiny_recipe, crowd_folder, monkeypatch
):
    begun = []
    monkeypatch.setattr("sam_mprompt.training.setup.begin_with_counts", lambda counter, source: begun.append(source))
    opened = session(tiny_recipe, crowd_folder, tmp_path / "run")
    assert begun == [opened.data.train.source]
    (tmp_path / "run").mkdir(exist_ok=True)
    opened.run.recipe.write_text(opened.recipe.to_toml())
    opened.save()
    session(tiny_recipe, crowd_folder, tmp_path / "run", resume=True)
    assert len(begun) == 1


def test_a_crop_that_cached_features_cannot_be_cut_to_is_refused_as_one_of_features(
    tmp_path, tiny_recipe, crowd_folder
):
    cached = ["data.cache=features", "data.jitter=0", "tuning.method=side", f"data.cache_root={tmp_path / 'cache'}"]
    with pytest.raises(UsageError, match="cached features need a multiple of 16, got 40"):
        session(tiny_recipe, crowd_folder, tmp_path / "run", *cached, "data.crop=40")
