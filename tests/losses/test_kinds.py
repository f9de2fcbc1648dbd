"""Every kind of loss trains a small counter on procedural scenes: better than who tells the mean."""

import numpy as np
import pytest
import torch
from small_counter import Patches

from sam_mprompt.data.dataset import CropDataset, collate
from sam_mprompt.data.sources import SyntheticSource
from sam_mprompt.geometry import Geometry
from sam_mprompt.losses import MutualPromptLoss
from sam_mprompt.losses.bayesian import BayesianCounts
from sam_mprompt.losses.distribution_matching import DistributionMatching
from sam_mprompt.losses.kinds import density_loss
from sam_mprompt.losses.mse import SquaredError
from sam_mprompt.losses.zip import ZeroInflatedPoisson
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.recipe.schema import SyntheticRecipe, parse_recipe
from sam_mprompt.training.block_counts import begin_with_counts

SIDE, SCENES = 64, 16


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("mse", SquaredError),
        ("zip", ZeroInflatedPoisson),
        ("dm", DistributionMatching),
        ("bayesian", BayesianCounts),
    ],
)
def test_a_kind_is_one_key_away(kind, loss):
    recipe = parse_recipe({"loss": {"kind": kind}}, source="test").loss
    assert isinstance(density_loss(recipe, stride=4), loss)


@pytest.mark.parametrize("mutual", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("kind", ["zip", "dm", "bayesian"])
def test_training_lowers_the_loss_and_beats_the_mean(kind, mutual):
    prompts = {"kappa": 0} if mutual else {"segmentation": 0.0, "context": 0.0, "online": False}
    table = {"data": {"crop": SIDE, "jitter": 0.0}, "loss": {"kind": kind, **prompts, "density_scale": float(SIDE)}}
    recipe = parse_recipe(table, source="test")
    scenes = SyntheticRecipe(size=3 * SIDE, max_heads=300)
    geometry = Geometry(2048, SIDE, 1 / 3, SIDE, 0)
    source = SyntheticSource(scenes, geometry, SCENES, seed=3, fresh=False, noise=0.0, context_k=3)
    crops = CropDataset(source, recipe.data, recipe.targets, seed=0, stride=4, points=recipe.loss.reads_points)
    batch = collate([crops[0, index] for index in range(SCENES)])
    torch.manual_seed(0)
    model = recipe.model.model_copy(update={"stem_channels": 8})
    counter = CrowdCounter(Patches(), model, segmenter=mutual, bins=recipe.loss.block_bins).train()
    begin_with_counts(counter, source)
    loss = MutualPromptLoss(recipe.loss, stride=4)
    optimizer = torch.optim.Adam(counter.parameters(), lr=5e-3)
    images, losses = counter.normalise(batch.images, batch.sizes), []
    for _ in range(40):
        output = counter(images)
        terms = loss(output.density, output.mask_logits, batch.targets, epoch=0, counts=output.counts)
        losses.append(terms["loss"].item())
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    heads = np.array(batch.targets.heads.per_crop)
    counts = output.density.sum(dim=(1, 2, 3)).detach().numpy()
    assert np.abs(counts - heads).mean() < 0.6 * np.abs(heads.mean() - heads).mean()
