"""Whole trainings by every kind of loss: what comes of them is an adapter like any other."""

import json

import numpy as np
import pytest
import torch
from pooling_backend import noise

import sam_mprompt
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.finetune import finetune
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.training.state import load_weights

SHORT = ["train.epochs=2", "train.gradient_accumulation=2", "train.preview_every=2", "loss.kappa=0"]


def trained(tiny_recipe, crowd_folder, run, *overrides):
    finetune(load_recipe(tiny_recipe, [*SHORT, *overrides]), data=crowd_folder, run=RunFolder(run))
    return AdapterFolder.read(RunFolder(run).adapter)


@pytest.fixture(scope="module")
def zip_adapter(tmp_path_factory, tiny_recipe, crowd_folder):
    return trained(tiny_recipe, crowd_folder, tmp_path_factory.mktemp("zip") / "run", "loss.kind=zip")


@pytest.mark.parametrize(
    ("kind", "overrides", "terms"),
    [
        ("dm", ["model.gate=segmenter"], {"density", "count", "transport", "variation", "segmentation", "context"}),
        ("bayesian", ["loss.segmentation=0", "loss.context=0", "loss.online=false"], {"density"}),
    ],
)
def test_an_adapter_of_another_loss_is_like_any_other(tmp_path, tiny_recipe, crowd_folder, kind, overrides, terms):
    adapter = trained(tiny_recipe, crowd_folder, tmp_path / "run", f"loss.kind={kind}", *overrides)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert terms | {"loss"} <= set(records[0])
    assert all(np.isfinite(record[name]) for record in records for name in terms)
    assert adapter.recipe.loss.kind == kind
    assert adapter.tensors["counter.regressor.output.weight"].shape[0] == 1
    assert sam_mprompt.load(adapter.path, device="cpu").count(noise(80, 100)).count >= 0


def test_an_adapter_of_distributions_counts_without_the_data_that_its_bins_come_from(zip_adapter, crowd_folder):
    centres = zip_adapter.tensors["counter.regressor.output.centres"]
    assert centres.shape == (16,)
    assert centres[0] == 1
    assert (centres.diff() > 0).all()
    result = sam_mprompt.load(zip_adapter.path, device="cpu").count(noise(80, 100))
    assert result.density.min() > 0
    assert result.count == pytest.approx(result.density.sum(), rel=1e-5)
    assert f"density loss `{zip_adapter.recipe.loss.kind}`" in zip_adapter.card()


def test_cached_features_train_distributions_with_a_side_network(tmp_path, tiny_recipe, crowd_folder):
    cached = ["data.cache=features", "data.jitter=0", "tuning.method=side", f"data.cache_root={tmp_path / 'cache'}"]
    adapter = trained(tiny_recipe, crowd_folder, tmp_path / "run", "loss.kind=zip", "loss.bins=5", *cached)
    assert adapter.tensors["counter.regressor.output.weight"].shape[0] == 6
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(record[name]) for record in records for name in ("likelihood", "bins", "scales", "val_mae"))


def test_a_resumed_training_keeps_its_bins(tmp_path, tiny_recipe, crowd_folder):
    recipe, run = load_recipe(tiny_recipe, [*SHORT, "loss.kind=zip", "train.ema=0"]), RunFolder(tmp_path / "run")
    data = TrainingData.open(recipe, crowd_folder)
    session = TrainingSession.open(recipe, data, run)
    session.counter.regressor.output.centres += 0.25
    session.fit()
    again = TrainingSession.open(recipe, data, run, resume=True)
    assert torch.equal(again.counter.regressor.output.centres, session.counter.regressor.output.centres)
    load_weights(run, again.counter)
    assert torch.equal(again.counter.regressor.output.centres, session.counter.regressor.output.centres)


def test_training_goes_on_from_an_adapter_with_its_bins_and_not_from_one_without(
    tmp_path, tiny_recipe, crowd_folder, zip_adapter, trained_run
):
    def opened(start):
        recipe = load_recipe(tiny_recipe, [*SHORT, "loss.kind=zip", f"train.init_from={start}"])
        return TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(tmp_path / "run"))

    own = opened(zip_adapter.path).counter.regressor.output
    assert torch.equal(own.weight, zip_adapter.tensors["counter.regressor.output.weight"])
    with pytest.raises(UsageError, match=r"regressor\.output"):
        opened(RunFolder(trained_run).adapter)
