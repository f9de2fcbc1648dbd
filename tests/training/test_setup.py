from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from small_counter import small_counter
from small_training import TABLE, TRAIN, Listener, Process, Shown
from torch import nn

from sam_mprompt.data.dataset import CropDataset, collate
from sam_mprompt.data.sources import DiskSource
from sam_mprompt.errors import UsageError
from sam_mprompt.models.build import Base, BuiltCounter
from sam_mprompt.recipe.schema import TrainRecipe, parse_recipe
from sam_mprompt.training import setup
from sam_mprompt.training.feature_cache import CachedCrops
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.setup import assemble, batch_loader, cached_features, save_time_and_memory, start_accelerator
from sam_mprompt.training.workers import POLL, start_worker


def recipe_of(train=None, **tables):
    return parse_recipe({**TABLE, **tables, "train": {**TRAIN, **(train or {})}}, source="test")


class Accelerating(Process):
    """Wraps what it is given to prepare, and lets its main process go first."""

    def __init__(self, **options):
        super().__init__(**options)
        self.entered = 0

    def prepare(self, model, optimizer):
        return nn.Sequential(model), optimizer

    @contextmanager
    def main_process_first(self):
        self.entered += 1
        yield
        self.entered += 10


@pytest.mark.parametrize(("tensorboard", "log_with"), [(True, "tensorboard"), (False, None)])
def test_accelerate_is_told_precision_log_and_folder(tmp_path, monkeypatch, tensorboard, log_with):
    monkeypatch.setattr(setup, "Accelerator", lambda **options: options)
    train = TrainRecipe(precision="bf16", tensorboard=tensorboard)
    expected = {"mixed_precision": "bf16", "log_with": log_with, "project_dir": tmp_path}
    assert start_accelerator(train, RunFolder(tmp_path)) == expected


def test_trainings_of_one_process_may_differ_in_precision(tmp_path):
    try:
        for precision in ("no", "bf16", "bf16", "no"):
            started = start_accelerator(TrainRecipe(precision=precision), RunFolder(tmp_path))
            assert started.mixed_precision == precision
    finally:
        AcceleratorState._reset_state()


@pytest.fixture
def built(monkeypatch):
    """What `assemble` builds: a small counter drawn from torch's random state; and how it was asked for."""
    asked = []

    def build(*recipes, segmenter, **options):
        asked.append(segmenter)
        counter = small_counter(segmenter=segmenter, seed=torch.initial_seed() % 1000)
        return BuiltCounter(counter, Base("small", "0" * 64))

    monkeypatch.setattr(setup, "build_counter", build)
    return asked


DATA = SimpleNamespace(train=SimpleNamespace(source=Shown()), val=SimpleNamespace(source=Shown()))


def assembled(recipe, *, resume=False, process=None):
    return assemble(recipe, DATA, process or Accelerating(), resume=resume, observer=Listener())


@pytest.mark.parametrize("segmentation", [0.0, 0.5])
def test_a_training_is_put_together_from_its_recipe(built, segmentation):
    recipe = recipe_of({"lr": 0.125, "ema": 0.75}, loss={"segmentation": segmentation, "context": 0.0})
    process = Accelerating()
    counter, parts = assembled(recipe, process=process)
    assert built == [segmentation > 0]
    assert parts.counter is counter.counter
    assert parts.accelerator is process
    assert parts.model[0] is parts.counter
    assert (parts.loss.recipe, parts.loss.density_loss.factor) == (recipe.loss, recipe.loss.density_scale / 4**2)
    assert parts.optimizer.param_groups[0]["lr"] == 0.125
    assert {id(p) for p in parts.optimizer.param_groups[0]["params"]} == {id(p) for p in parts.counter.parameters()}
    assert parts.average.decay == 0.75
    assert torch.equal(parts.average.values["encoder.patch.weight"], parts.counter.encoder.patch.weight)
    assert parts.cache is None


@pytest.mark.parametrize(("wanted", "processes", "shared"), [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_frozen_weights_are_shared_out_where_the_recipe_says_so_and_there_is_another_process(
    built, monkeypatch, wanted, processes, shared
):
    calls = []
    monkeypatch.setattr(setup, "hide_from_ddp", calls.append)
    monkeypatch.setattr(setup, "shard_frozen", lambda *given: calls.append(given))
    recipe = recipe_of()
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"shard_encoder": wanted})})
    _, parts = assembled(recipe, process=Accelerating(processes=processes))
    assert calls == ([parts.counter, (parts.counter, processes, "cpu")] if shared else [])


def test_no_average_is_kept_where_its_decay_is_zero(built):
    assert assembled(recipe_of({"ema": 0.0}))[1].average is None
    assert assembled(recipe_of({"ema": 0.5}))[1].average is not None


def test_the_seed_decides_the_first_weights_and_every_later_draw(built):
    drawn = []
    for seed in (3, 4, 3):
        _, parts = assembled(recipe_of({"seed": seed}))
        drawn.append((parts.counter.encoder.patch.weight, torch.rand(1), np.random.rand()))
    assert torch.equal(drawn[0][0], drawn[2][0])
    assert not torch.equal(drawn[0][0], drawn[1][0])
    assert drawn[0][1:] == drawn[2][1:]
    assert drawn[0][2] != drawn[1][2]


@pytest.mark.parametrize(
    ("resume", "start", "read"), [(False, "there", True), (True, "there", False), (False, "", False)]
)
def test_weights_of_an_adapter_are_read_unless_a_state_follows(built, monkeypatch, resume, start, read):
    calls = []
    monkeypatch.setattr(setup, "find_adapter", lambda name: f"found {name}")
    monkeypatch.setattr(setup.AdapterFolder, "read", lambda path: f"adapter {path}")
    monkeypatch.setattr(setup, "init_from", lambda *arguments: calls.append(arguments))
    counter, _ = assembled(recipe_of({"init_from": start}), resume=resume)
    assert calls == ([("adapter found there", counter, "full")] if start and not resume else [])


def test_features_are_cached_where_the_data_say_so(built, monkeypatch):
    calls = []
    monkeypatch.setattr(setup, "cached_features", lambda *arguments: (calls.append(arguments), "cache")[1])
    data = {**TABLE["data"], "cache": "features", "jitter": 0.0, "flip": 0.0}
    recipe = recipe_of(tuning={"method": "none"}, data=data)
    process, heard = Accelerating(), Listener()
    counter, parts = assemble(recipe, DATA, process, resume=False, observer=heard)
    assert parts.cache == "cache"
    assert calls == [(recipe, counter, DATA, process, heard)]


@pytest.mark.parametrize(
    ("loss", "segmenter", "regressor"),
    [
        ({}, True, True),
        ({"segmentation": 0.0, "context": 0.0}, False, True),
        ({"density": 0.0, "context": 0.0, "online": False, "offline": False}, True, False),
    ],
)
def test_the_counter_is_built_of_model_and_tuning_with_the_decoders_that_the_loss_reads(
    monkeypatch, loss, segmenter, regressor
):
    calls = []

    def build(*arguments, **options):
        calls.append((arguments, options))
        return BuiltCounter(small_counter(), Base("small", "0" * 64))

    monkeypatch.setattr(setup, "build_counter", build)
    recipe = recipe_of(loss=loss)
    assembled(recipe)
    assert calls == [((recipe.model, recipe.tuning), {"segmenter": segmenter, "regressor": regressor, "bins": 0})]


@pytest.mark.parametrize("key", [None, "gradient_checkpointing", "compile"])
def test_what_saves_time_and_memory_is_done_where_it_is_asked_for(monkeypatch, key):
    calls = []
    for name in ("channels_last", "enable_gradient_checkpointing", "compile_encoder"):
        monkeypatch.setattr(setup, name, lambda module, name=name: calls.append((name, module)))
    counter = small_counter()
    asked = {key: True} if key else {}
    save_time_and_memory(TrainRecipe(**asked), counter)
    done = {
        "gradient_checkpointing": ["enable_gradient_checkpointing"],
        "compile": ["compile_encoder"],
        None: [],
    }[key]
    assert calls == [("channels_last", counter), *((name, counter.encoder) for name in done)]


def test_features_are_computed_in_the_main_process_first_of_what_is_trained_on(monkeypatch):
    asked = {}

    def build(*arguments, **options):
        asked.update(options, arguments=arguments, entered=process.entered)
        options["say"]("said")
        options["progress"](3, 7)
        return "cache"

    monkeypatch.setattr(setup, "build_cache", build)
    process, heard = Accelerating(), Listener()
    told = []
    heard.progress = lambda *arguments: told.append(arguments)
    source = DiskSource([], recipe_of().infer, context_k=3)
    data = SimpleNamespace(train=SimpleNamespace(source=source))
    counter = BuiltCounter(small_counter(), Base("small", "0" * 64))
    asked_of = recipe_of(tuning={"method": "prompt", "blocks": [1, 2]}, model={"density_stride": 8})
    assert cached_features(asked_of, counter, data, process, heard) == "cache"
    assert asked["arguments"][0] is counter.counter
    assert source in asked["arguments"]
    assert "0" * 64 in asked["arguments"]
    assert asked["device"] == process.device
    assert (asked["data"], asked["model"], asked["stop_before"]) == (asked_of.data, asked_of.model, 1)
    assert (asked["entered"], process.entered) == (1, 11)
    assert heard.said == ["said"]
    assert told == [("encoding images", 3, 7)]


def loader_of(train=None, *, process=None, cache=None, source=None, **tables):
    parts = SimpleNamespace(accelerator=process or Process(), cache=cache, counter=SimpleNamespace(stride=4))
    data = SimpleNamespace(train=SimpleNamespace(source=source or Shown()))
    return batch_loader(recipe_of(train, **tables), data, parts)


def test_the_loader_gives_crops_of_the_order_that_the_seed_decides():
    batches, loader = loader_of({"seed": 5, "batch_size": 2})
    assert (batches.length, batches.batch_size, batches.seed, batches.rank, batches.world) == (3, 2, 5, 0, 1)
    assert isinstance(loader.dataset, CropDataset)
    crops = loader.dataset
    assert (crops.data, crops.targets, crops.seed, crops.stride) == (recipe_of().data, recipe_of().targets, 5, 4)
    batches.start(1)
    loaded = list(loader)
    assert [batch.keys for batch in loaded] == list(batches)
    assert loaded[0].images.shape == (2, 3, 32, 32)
    assert loaded[0].targets.density.shape == (2, 1, 8, 8)
    assert loader.collate_fn is collate


def test_each_process_loads_its_share():
    process = Process(processes=3)
    process.process_index = 2
    batches, _ = loader_of(process=process)
    assert (batches.rank, batches.world) == (2, 3)


def test_loading_moves_no_random_state_and_draws_its_own_from_the_seed():
    _, loader = loader_of({"seed": 9})
    assert loader.generator.initial_seed() == 9
    before = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("workers", "timeout"), [(0, 0), (1, POLL)])
def test_workers_stay_for_all_epochs_and_are_not_waited_for_blindly(workers, timeout):
    _, loader = loader_of({"workers": workers})
    assert (loader.num_workers, loader.persistent_workers, loader.timeout) == (workers, workers > 0, timeout)
    assert loader.worker_init_fn is start_worker
    assert not loader.pin_memory


def test_batches_for_a_gpu_are_pinned():
    process = Process()
    process.device = torch.device("cuda")
    assert loader_of(process=process)[1].pin_memory


@pytest.mark.parametrize(("stem", "pixels"), [(0, False), (1, True)])
def test_cached_features_are_cropped_instead_of_images(stem, pixels):
    source = DiskSource([SimpleNamespace()] * 3, recipe_of().infer, context_k=3)
    cache = SimpleNamespace(stride=16)
    _, loader = loader_of({"seed": 7}, cache=cache, source=source, model={"stem_channels": stem})
    crops = loader.dataset
    assert isinstance(crops, CachedCrops)
    assert (crops.source, crops.cache) == (source, cache)
    assert (crops.data, crops.targets) == (recipe_of().data, recipe_of().targets)
    assert (crops.seed, crops.stride, crops.pixels) == (7, 4, pixels)
    assert isinstance(loader_of(source=source)[1].dataset, CropDataset)
    assert isinstance(loader_of(cache=cache)[1].dataset, CropDataset)  # scenes have no features


def test_a_crop_that_the_encoder_cannot_take_is_refused_by_its_key_before_anything_is_trained(built):
    with pytest.raises(UsageError, match=r"^data\.crop: expected a multiple of 4, such as 44 or 48, got 46\.$"):
        assemble(recipe_of(data={**TABLE["data"], "crop": 46}), Shown(), Accelerating(), resume=False, observer=None)
