"""What `TrainingSession.fit` does, told by a small counter; `test_session` trains whole recipes."""

import json
import platform
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_training import Listener, Loader, Process, small_session
from torch import nn

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.errors import Interrupted, RunError
from sam_mprompt.evaluation.metrics import Metrics
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.held_out import HeldOut, read_held_out
from sam_mprompt.training.loop import Steps
from sam_mprompt.training.observer import SILENT
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.state import TrainingProgress, load_state
from sam_mprompt.tuning.report import report


@pytest.fixture(autouse=True)
def _unheard():
    """A signal that training does not hear fails a test, instead of ending all tests."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


def metrics_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def progress_of(run):
    return json.loads((run / "state" / "progress.json").read_text())["progress"]


def counting(monkeypatch, *errors):
    """Make each validation count so many heads too many in every image; there are 1, 2 and 3 in them."""
    counts = iter([heads + error for error in errors for heads in (1, 2, 3)])
    monkeypatch.setattr(
        "sam_mprompt.training.validation.predict_density", lambda *_, **__: SimpleNamespace(count=next(counts))
    )


def test_the_best_epoch_is_the_first_of_those_with_the_least_error(tmp_path, monkeypatch):
    counting(monkeypatch, 5.0, 3.0, 3.0, 4.0)
    outcome = small_session(tmp_path / "run", {"epochs": 4}).fit()
    assert (outcome.best, outcome.best_epoch, outcome.epochs) == (Metrics(3, 3.0, 3.0, pytest.approx(5.5 / 3)), 2, 4)
    kept = json.loads((tmp_path / "run" / "adapter" / "metrics.json").read_text())
    assert (kept["epoch"], kept["val"]["mae"]) == (2, 3.0)
    assert 0 < kept["seconds"] <= outcome.seconds
    assert [record["val_mae"] for record in metrics_of(tmp_path / "run")] == [5, 3, 3, 4]


def test_the_adapter_of_the_best_epoch_holds_the_averaged_weights_of_then(tmp_path, monkeypatch):
    counting(monkeypatch, 1.0, 2.0)
    session, seen = small_session(tmp_path / "run", {"ema": 0.9}), []
    session.observer.at = {3: lambda: seen.append(True)}
    session.fit()
    written = AdapterFolder.read(tmp_path / "run" / "adapter").tensors
    weight = written["counter.regressor.output.weight"]
    assert not torch.equal(weight, session.counter.regressor.output.weight)
    assert not torch.equal(weight, session.parts.average.values["regressor.output.weight"])
    one = small_session(tmp_path / "one", {"ema": 0.9, "epochs": 1})
    counting(monkeypatch, 1.0)
    one.fit()
    assert torch.equal(weight, one.parts.average.values["regressor.output.weight"])


def test_validation_sees_averaged_weights_and_training_goes_on_with_its_own_in_training_mode(tmp_path):
    session, seen = small_session(tmp_path / "run", {"ema": 0.9}), []

    def watch(counter, _inputs):
        seen.append((counter.training, counter.regressor.output.weight.detach().clone()))

    session.counter.register_forward_pre_hook(watch)
    session.fit()
    modes = [training for training, _ in seen]
    assert modes == ([True] * 3 + [False] * 3) * 2
    assert torch.equal(seen[9][1], session.parts.average.values["regressor.output.weight"])
    assert not torch.equal(seen[9][1], session.counter.regressor.output.weight)
    assert (seen[6][1] - seen[2][1]).abs().max() < 0.003  # three steps of 0.001 from where the epoch before ended
    assert all(module.training for module in session.counter.modules())


def test_every_epoch_has_an_order_of_its_own_that_the_seed_decides(tmp_path):
    orders = []
    for name in ("a", "b"):
        session = small_session(tmp_path / name, images=8)
        session.fit()
        orders.append([index for keys in session.loader.keys for _, index in keys])
        assert [keys[0][0] for keys in session.loader.keys] == [0] * 4 + [1] * 4
    first, second = orders[0][:8], orders[0][8:]
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert orders[0] == orders[1]


def test_records_tell_what_each_epoch_came_to(tmp_path):
    session = small_session(tmp_path / "run", {"lr": 0.002, "gradient_accumulation": 2})
    outcome = session.fit()
    records = metrics_of(tmp_path / "run")
    assert session.observer.epochs == records
    assert [record["epoch"] for record in records] == [1, 2]
    assert [record["step"] for record in records] == [2, 4]
    terms = {"loss", "density", "segmentation", "overlap", "context"}
    figures = {"val_mae", "val_rmse", "val_nae"}
    for record in records:
        assert record.keys() == {"epoch", "step", "lr", "images_per_s", "memory_mb", "seconds"} | terms | figures
        assert record["lr"] == 0.002
        assert record["memory_mb"] > 1
    assert 0 < records[0]["seconds"] < records[1]["seconds"] <= outcome.seconds + 1e-9
    numbers = report(session.counter)
    assert (outcome.trainable, outcome.total) == (numbers.trainable, numbers.total)
    assert outcome.val_iou is None
    assert load_recipe(tmp_path / "run" / "recipe.toml").train == session.recipe.train


def test_the_observer_hears_the_data_the_parameters_each_batch_and_the_end(tmp_path):
    session = small_session(tmp_path / "run")
    told = str(report(session.counter))
    session.fit()
    heard = session.observer
    assert heard.said == ["data", told]
    assert [(done, total) for done, total, _ in heard.batches] == [(i, 6) for i in range(7)]
    assert heard.batches[0][2] == {}
    values = heard.batches[4][2]
    assert (values["epoch"], values["step"]) == (2, 4)
    assert values["loss"] > 0
    assert values["images_per_s"] > 0
    assert heard.ended == 1


def test_the_observer_hears_of_the_end_also_when_training_fails(tmp_path):
    session = small_session(tmp_path / "run")
    nn.init.constant_(session.counter.regressor.output.bias, float("nan"))
    session.progress.step = 1  # no first save, which would tell
    with pytest.raises(RunError, match="not finite"):
        session.fit()
    assert session.observer.ended == 1


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3]), (2, [2, 3]), (9, [3])])
def test_what_happens_every_so_many_epochs_happens_after_the_last_too(tmp_path, monkeypatch, every, epochs):
    monkeypatch.setattr("sam_mprompt.training.validation.preview", lambda *_: np.zeros((8, 8, 3), np.uint8))
    session = small_session(tmp_path / "run", {"epochs": 3, "validate_every": every, "preview_every": every}, images=2)
    session.fit()
    assert [record["epoch"] for record in metrics_of(tmp_path / "run") if "val_mae" in record] == epochs
    pictures = {path.name for path in (tmp_path / "run" / "previews").iterdir()}
    assert pictures == {f"epoch{epoch:04d}-{index}.jpg" for epoch in epochs for index in range(2)}


def test_no_previews_are_made_where_none_are_asked_for(tmp_path):
    small_session(tmp_path / "run", {"preview_every": 0}).fit()
    assert not (tmp_path / "run" / "previews").exists()


def test_a_state_is_saved_before_the_first_step_and_after_each_epoch(tmp_path, monkeypatch):
    session, saved = small_session(tmp_path / "run"), []
    original = type(session).save

    def save(self):
        saved.append((self.progress.epoch, self.progress.batch, self.progress.step, self.progress.log_lines))
        original(self)

    monkeypatch.setattr(type(session), "save", save)
    session.fit()
    assert saved == [(0, 0, 0, 0), (1, 0, 3, 1), (2, 0, 6, 2)]
    assert session.accelerator.waited == 3


def test_a_state_is_saved_when_its_minutes_have_passed_but_only_after_a_step(tmp_path, monkeypatch):
    session, saved = small_session(tmp_path / "run", {"save_minutes": 1e-9, "gradient_accumulation": 2}), []
    original = type(session).save
    monkeypatch.setattr(type(session), "save", lambda self: (saved.append(self.progress.batch), original(self)))
    session.fit()
    assert saved == [0, 2, 3, 0, 2, 3, 0]


def test_a_request_to_stop_is_followed_after_the_step_with_the_state_saved(tmp_path):
    session = small_session(tmp_path / "run", {"epochs": 9, "gradient_accumulation": 2})
    session.observer.at = {4: lambda: signal.raise_signal(signal.SIGINT)}
    with pytest.raises(Interrupted, match=r"^stopped; the state is saved\.$") as told:
        session.fit()
    assert (told.value.about, told.value.facts) == ("stopped", {"run": tmp_path / "run"})
    progress = progress_of(tmp_path / "run")
    assert (progress["epoch"], progress["batch"], progress["step"]) == (1, 2, 3)
    assert progress["seconds"] > 0
    assert session.observer.ended == 1


def test_a_training_that_goes_on_in_an_epoch_does_what_is_left_of_it(tmp_path):
    cut = small_session(tmp_path / "cut", {"ema": 0.9})
    cut.observer.at = {2: lambda: signal.raise_signal(signal.SIGINT)}
    with pytest.raises(Interrupted):
        cut.fit()
    resumed = small_session(tmp_path / "cut", {"ema": 0.9})
    parts = resumed.parts
    resumed.progress = load_state(resumed.run, parts.counter, parts.optimizer, average=parts.average, scaler=None)
    resumed.fit()
    whole = small_session(tmp_path / "whole", {"ema": 0.9})
    whole.fit()
    assert cut.loader.keys[:2] + resumed.loader.keys == whole.loader.keys
    assert [done for done, _, _ in resumed.observer.batches] == [2, 3, 4, 5, 6]
    ours, theirs = resumed.counter.state_dict(), whole.counter.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert [record["epoch"] for record in metrics_of(tmp_path / "cut")] == [1, 2]
    before = progress_of(tmp_path / "cut")["seconds"]
    assert before == resumed.progress.seconds > cut.progress.seconds


def test_lines_of_the_log_that_no_state_holds_are_dropped(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    small_session(tmp_path / "run", progress=TrainingProgress(epoch=1, step=3, log_lines=1)).fit()
    records = metrics_of(tmp_path / "run")
    assert records[0] == {"epoch": 1}
    assert [record["epoch"] for record in records] == [1, 2]
    assert progress_of(tmp_path / "run")["log_lines"] == 2


@pytest.mark.parametrize(("batch", "accumulation", "saved"), [(2, 2, True), (1, 2, False), (1, 1, True)])
def test_a_request_is_followed_while_no_batch_comes_and_the_state_saved_between_groups(
    tmp_path, monkeypatch, batch, accumulation, saved
):
    session = small_session(tmp_path / "run", {"gradient_accumulation": accumulation})
    stuck, asked = type(session.loader).__next__, []

    def waiting(loader):
        if session.progress.batch == batch and not asked:
            loader.stuck = 1
            asked.append(signal.raise_signal(signal.SIGINT))
        return stuck(loader)

    monkeypatch.setattr(type(session.loader), "__next__", waiting)
    said = "stopped; the state is saved" if saved else "stopped while waiting for data"
    with pytest.raises(Interrupted, match=rf"^{said}\.$") as told:
        session.fit()
    assert told.value.about == ("stopped" if saved else "stopped between saves")
    assert told.value.facts == {"run": tmp_path / "run"}
    assert progress_of(tmp_path / "run")["batch"] == (batch if saved else 0)


def test_a_loader_that_is_slow_is_waited_for(tmp_path):
    session = small_session(tmp_path / "run")
    session.observer.at = {1: lambda: setattr(session.loader, "stuck", 3)}
    # A loader that times out goes on with the next batch when it is asked again.
    assert session.fit().epochs == 2
    assert len(session.loader.keys) == 6


def test_a_segmenter_alone_is_measured_by_its_masks_and_keeps_no_adapter(tmp_path):
    loss = {"density": 0.0, "context": 0.0, "online": False, "offline": False}
    session = small_session(tmp_path / "run", loss=loss)
    outcome = session.fit()
    records = metrics_of(tmp_path / "run")
    assert all("val_mae" not in record for record in records)
    assert outcome.val_iou == records[-1]["val_iou"] == progress_of(tmp_path / "run")["val_iou"]
    assert 0 <= outcome.val_iou <= 1
    assert (outcome.best, outcome.best_epoch) == (None, None)
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_finished_segmenter_of_version_0_1_is_measured_when_it_is_resumed(tmp_path):
    loss = {"density": 0.0, "context": 0.0, "online": False, "offline": False}
    outcome = small_session(tmp_path / "run", loss=loss, progress=TrainingProgress(epoch=2, step=6)).fit()
    assert outcome.val_iou is not None


def test_only_the_main_process_writes(tmp_path):
    session = small_session(tmp_path / "run", {"preview_every": 1}, process=Process(main=False))
    outcome = session.fit()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.toml"]
    assert outcome.best is not None
    assert session.accelerator.waited == 3
    assert not session.is_main_process


@pytest.mark.parametrize("any_asked", [False, True])
def test_all_processes_stop_after_the_step_when_any_of_them_asks(tmp_path, any_asked):
    session = small_session(tmp_path / "run", process=Process(processes=2, any_asked=any_asked))
    if any_asked:
        with pytest.raises(Interrupted, match="the state is saved"):
            session.fit()
        assert progress_of(tmp_path / "run")["step"] == 1
    else:
        session.fit()
        assert set(session.accelerator.reduced) == {(0.0, "sum")}


def test_speed_is_told_in_images_of_all_processes(tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("sam_mprompt.training.session.time.monotonic", lambda: float(next(clock)))
    rates = {}
    for processes in (1, 2):
        session = small_session(tmp_path / str(processes), {"epochs": 1}, process=Process(processes=processes))
        session.fit()
        rates[processes] = metrics_of(tmp_path / str(processes))[0]["images_per_s"]
    assert rates[2] == pytest.approx(2 * rates[1], rel=0.01)


def test_figures_go_to_tensorboard_by_step_without_those_that_are_missing(tmp_path, monkeypatch):
    session = small_session(tmp_path / "run", {"tensorboard": True})
    session.fit()
    process = session.accelerator
    assert process.trackers == ["run", None]
    assert [step for step, _ in process.logged] == [3, 6]
    assert [values["epoch"] for _, values in process.logged] == [1, 2]
    plain = small_session(tmp_path / "plain")
    plain.fit()
    assert (plain.accelerator.trackers, plain.accelerator.logged) == ([], [])


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("main", [True, False])
def test_a_session_is_opened_with_what_the_recipe_makes_and_with_its_state_when_it_is_resumed(
    tmp_path, monkeypatch, resume, main
):
    ready, asked = (
        small_session(tmp_path / "run", {"gradient_accumulation": 2, "ema": 0.9}, process=Process(main=main)),
        {},
    )
    restored, listener = TrainingProgress(epoch=1), Listener()
    ready.accelerator.scaler = "scaler"

    def noted(name, result):
        def function(*arguments, **options):
            asked[name] = (arguments, options)
            return result

        return function

    for name, result in {
        "start_accelerator": ready.accelerator,
        "assemble": (ready.built, ready.parts),
        "batch_loader": (ready.batches, ready.loader),
        "load_state": restored,
    }.items():
        monkeypatch.setattr(f"sam_mprompt.training.session.{name}", noted(name, result))
    recipe, data, run = ready.recipe, ready.data, ready.run
    opened = TrainingSession.open(recipe, data, run, resume=resume, observer=listener)
    heard = listener if main else SILENT
    assert (opened.recipe, opened.data, opened.run, opened.observer) == (recipe, data, run, heard)
    assert (opened.built, opened.parts, opened.batches, opened.loader) == (
        ready.built,
        ready.parts,
        ready.batches,
        ready.loader,
    )
    assert opened.steps == Steps(3, 2)
    assert opened.progress == (restored if resume else TrainingProgress())
    assert asked["start_accelerator"][0] == (recipe.train, run)
    assert asked["assemble"] == ((recipe, data, ready.accelerator), {"resume": resume, "observer": heard})
    assert asked["batch_loader"][0] == (recipe, data, ready.parts)
    if resume:
        parts = ready.parts
        given = {"average": parts.average, "scaler": "scaler", "say": heard.say}
        assert asked["load_state"] == ((run, parts.counter, parts.optimizer), given)
    else:
        assert "load_state" not in asked
    assert (TrainingSession.open(recipe, data, run).observer is SILENT, "load_state" in asked) == (True, resume)


@pytest.mark.parametrize("offline", [False, True])
def test_previews_are_made_of_the_averaged_weights_as_the_recipe_says(tmp_path, monkeypatch, offline):
    session, asked = small_session(tmp_path / "run", {"preview_every": 2, "ema": 0.9}, loss={"offline": offline}), []

    def preview(counter, source, index, **options):
        asked.append((counter, source, index, options, counter.regressor.output.weight.detach().clone()))
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("sam_mprompt.training.session.preview_image", preview)
    session.fit()
    recipe = session.recipe
    assert [index for _, _, index, _, _ in asked] == [0, 1]
    for counter, source, _, options, weight in asked:
        assert (counter, source) == (session.counter, session.data.shown)
        assert (options["targets"], options["loss"]) == (recipe.targets, recipe.loss)
        assert recipe.loss.offline == offline
        assert options["geometry"].tile == 32
        assert options["device"] == torch.device("cpu")
        assert torch.equal(weight, session.parts.average.values["regressor.output.weight"])


def test_where_all_images_train_the_last_epoch_is_kept_without_figures(tmp_path):
    session = small_session(tmp_path / "run", {"epochs": 3, "validate_every": 2})
    session.data.val = None
    outcome = session.fit()
    assert (outcome.best, outcome.best_epoch, outcome.epochs) == (None, 3, 3)
    kept = json.loads((tmp_path / "run" / "adapter" / "metrics.json").read_text())
    assert kept.keys() == {"epoch", "seconds", "environment"}
    assert kept["epoch"] == 3
    assert not any(key.startswith("val_") for record in metrics_of(tmp_path / "run") for key in record)


def test_validation_counts_as_the_recipe_says(tmp_path, monkeypatch):
    asked = []

    def count_all(*arguments, **options):
        asked.append((arguments, options))
        return [(1.0, 1), (2.0, 2), (3.0, 3)]

    monkeypatch.setattr("sam_mprompt.training.session.count_all", count_all)
    infer = {"tile": 32, "overlap": 0, "batch_size": 3}
    session = small_session(tmp_path / "run", {"epochs": 1, "precision": "bf16"}, infer=infer)
    session.fit()
    seen = (session.counter, session.data.val.source, session.recipe.geometry, session.accelerator)
    assert asked == [(seen, {"batch_size": 3, "precision": "bf16"})]


def test_counts_of_the_best_epoch_are_kept_by_image(tmp_path, monkeypatch):
    counts = iter([[(1.5, 1), (2.5, 2), (3.5, 3)], [(1.25, 1), (2.25, 2), (3.25, 3)], [(9.0, 1), (9.0, 2), (9.0, 3)]])
    monkeypatch.setattr("sam_mprompt.training.session.count_all", lambda *_, **__: next(counts))
    session = small_session(tmp_path / "run", {"epochs": 3})
    session.fit()
    rows = read_held_out(session.run.held_out)
    assert rows == [HeldOut(f"image {index}", 0, index + 1, index + 1.25) for index in range(3)]


def test_a_saved_state_is_of_all_that_decides_the_next_step(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sam_mprompt.training.session.save_state", lambda *given, **more: asked.append((given, more)))
    session = small_session(tmp_path / "run", {"ema": 0.9})
    session.accelerator.scaler = "scaler"
    session.save()
    parts = session.parts
    given = (session.run, session.progress, session.counter, parts.optimizer)
    assert asked == [(given, {"average": parts.average, "scaler": "scaler"})]


@pytest.fixture
def _two_seconds_a_batch(monkeypatch):
    now, following = [100.0], Loader.__next__

    def two_seconds_later(loader):
        now[0] += 2
        return following(loader)

    monkeypatch.setattr(Loader, "__next__", two_seconds_later)
    monkeypatch.setattr("sam_mprompt.training.session.time", SimpleNamespace(monotonic=lambda: now[0]))


@pytest.mark.usefixtures("_two_seconds_a_batch")
@pytest.mark.parametrize(("minutes", "saved"), [(1 / 30, [0, 2, 3]), (3.96 / 60, [0, 2, 3]), (4 / 60, [0, 3, 3])])
def test_a_state_is_saved_once_more_than_its_minutes_have_passed(tmp_path, monkeypatch, minutes, saved):
    steps = []
    monkeypatch.setattr(
        "sam_mprompt.training.session.save_state", lambda _run, progress, *_, **__: steps.append(progress.step)
    )
    small_session(tmp_path / "run", {"epochs": 1, "save_minutes": minutes}).fit()
    assert steps == saved


@pytest.mark.usefixtures("_two_seconds_a_batch")
@pytest.mark.parametrize("batch", [0, 1])
def test_speed_is_that_of_the_batches_of_this_session(tmp_path, batch):
    session = small_session(tmp_path / "run", {"epochs": 1}, progress=TrainingProgress(batch=batch, step=batch))
    session.fit()
    speeds = [values["images_per_s"] for _, _, values in session.observer.batches if values]
    assert speeds == [1.0] * (3 - batch)  # two images of a batch in two seconds


def test_the_learning_rate_is_told_as_it_is_after_each_batch(tmp_path):
    falling = {"lr": 0.004, "schedule": "step", "step_epochs": 1, "step_factor": 0.5, "epochs": 3}
    session = small_session(tmp_path / "run", falling)
    session.fit()
    assert [record["lr"] for record in metrics_of(tmp_path / "run")] == [0.002, 0.001, 0.0005]
    told = [values["lr"] for _, _, values in session.observer.batches if values]
    assert told == [0.004, 0.004, 0.002, 0.002, 0.002, 0.001, 0.001, 0.001, 0.0005]


@pytest.mark.usefixtures("_two_seconds_a_batch")
def test_time_is_counted_on_from_that_of_earlier_sessions(tmp_path):
    session, seen = small_session(tmp_path / "run", {"epochs": 1}, progress=TrainingProgress(seconds=50.0)), []
    session.observer.at = {done: lambda: seen.append(session.progress.seconds) for done in (1, 2, 3)}
    assert session.fit().seconds == 58.0  # the loader takes as long to say that no more come
    assert seen == [52.0, 54.0, 56.0]
    assert [record["seconds"] for record in metrics_of(tmp_path / "run")] == [58.0]


@pytest.mark.parametrize(("folds", "kept"), [(0, {}), (3, {"folds": 3})])
def test_an_adapter_says_what_its_figures_are_of(tmp_path, folds, kept):
    session = small_session(tmp_path / "run", progress=TrainingProgress(epoch=2, seconds=1.5))
    session.keep_adapter(Metrics(4, 1.0, 2.0, 0.5), folds=folds)
    metrics = json.loads((tmp_path / "run" / "adapter" / "metrics.json").read_text())
    assert metrics.pop("environment").keys() > {"python", "system", "processor", "device", "packages"}
    figures = {"images": 4, "mae": 1.0, "rmse": 2.0, "nae": 0.5}
    assert metrics == {"val": figures, "epoch": 2, "seconds": 1.5, **kept}


def test_an_adapter_says_on_what_it_was_trained_and_not_on_whose_machine(tmp_path):
    session = small_session(tmp_path / "run")
    session.keep_adapter(None)
    folder = AdapterFolder.read(tmp_path / "run" / "adapter")
    told = folder.metrics["environment"]
    assert (told["python"], told["device"], told["processes"]) == (platform.python_version(), "cpu", 1)
    assert told["threads"] == torch.get_num_threads()
    assert {"torch", "torchvision", "numpy", "opencv", "pillow", "timm", "peft", "accelerate"} == told[
        "packages"
    ].keys()
    assert told["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    text = json.dumps(told)
    assert platform.node() not in text
    assert str(tmp_path) not in text
    assert f"computed on cpu, with Python {told['python']}, accelerate " in folder.card()


def test_an_adapter_has_error_bars_of_the_split_that_chose_it_and_none_where_nothing_was_held_out(
    tmp_path, monkeypatch
):
    counting(monkeypatch, 2.0)
    session = small_session(tmp_path / "run", {"epochs": 1})
    session.fit()
    adapter = AdapterFolder.read(session.run.adapter)
    assert adapter.calibration is not None
    assert (adapter.calibration.origin, adapter.calibration.heads) == ("val", (1, 2, 3))
    assert adapter.calibration.counted == (3.0, 4.0, 5.0)
    assert adapter.scope is not None
    assert adapter.scope.images == 3
    session.keep_adapter(None)
    assert AdapterFolder.read(session.run.adapter).calibration is None


def test_an_adapter_says_how_many_threads_and_processes_trained_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    session = small_session(tmp_path / "run", process=Process(processes=3))
    session.keep_adapter(None)
    told = AdapterFolder.read(session.run.adapter).metrics["environment"]
    assert (told["device"], told["threads"], told["processes"]) == ("cpu", 7, 3)
