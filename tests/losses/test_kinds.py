"""Every kind of loss trains a small counter: better than who tells the mean."""

import numpy as np
import pytest
import torch
from small_counter import Patches

from sam_mprompt.losses import MutualPromptLoss
from sam_mprompt.losses.bayesian import BayesianCounts
from sam_mprompt.losses.counts import BinStatistics
from sam_mprompt.losses.distribution_matching import DistributionMatching
from sam_mprompt.losses.kinds import density_loss
from sam_mprompt.losses.mse import SquaredError
from sam_mprompt.losses.targets import Heads, Targets
from sam_mprompt.losses.zip import ZeroInflatedPoisson
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.decoders import BlockOutput
from sam_mprompt.recipe.schema import SamModel, parse_recipe
from sam_mprompt.targets import density_map, point_mask

SIDE, CROPS = 64, 12


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


def squares():
    """Crops with none to eleven bright squares, each a head, on cells of four pixels; and what they are trained on."""
    generator, cells = np.random.default_rng(0), SIDE // 4
    images = np.full((CROPS, 3, SIDE, SIDE), 60, np.uint8)
    points = []
    for index, image in enumerate(images):
        chosen = generator.choice(cells * cells, index, replace=False)
        rows, columns = chosen // cells * 4, chosen % cells * 4
        for y, x in zip(rows, columns, strict=True):
            image[:, y : y + 4, x : x + 4] = 250
        points.append(np.stack([columns + 2, rows + 2], axis=1).astype(np.float32))
    size = (SIDE, SIDE)
    density = torch.tensor(np.stack([density_map(own, size, stride=4)[None] for own in points]))
    masks = torch.tensor(np.stack([point_mask(own, size, dilation=4, stride=4)[None] for own in points]))
    heads = Heads(torch.tensor(np.concatenate(points)), tuple(len(own) for own in points))
    return torch.from_numpy(images), Targets(density, masks, torch.ones_like(masks), heads)


@pytest.mark.slow
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("kind", ["mse", "zip", "dm", "bayesian"])
def test_training_lowers_the_loss_and_beats_the_mean(kind, mutual):
    prompts = {"kappa": 0} if mutual else {"segmentation": 0.0, "context": 0.0, "online": False}
    recipe = parse_recipe({"loss": {"kind": kind, **prompts, "density_scale": float(SIDE)}}, source="test").loss
    images, targets = squares()
    torch.manual_seed(0)
    counter = CrowdCounter(Patches(), SamModel(), segmenter=mutual, bins=recipe.block_bins).train()
    if isinstance(counter.regressor.output, BlockOutput):
        blocks = targets.heads.per_cell((SIDE // 4, SIDE // 4), 4).numpy()
        counter.regressor.output.begin(BinStatistics.of([blocks], recipe.block_bins))
    loss = MutualPromptLoss(recipe, stride=4)
    optimizer = torch.optim.Adam(counter.parameters(), lr=5e-3)
    normalised, losses = counter.normalise(images), []
    for _ in range(60):
        output = counter(normalised)
        terms = loss(output.density, output.mask_logits, targets, epoch=0, counts=output.counts)
        losses.append(terms["loss"].item())
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    heads = np.array(targets.heads.per_crop)
    counts = output.density.sum(dim=(1, 2, 3)).detach().numpy()
    assert np.abs(counts - heads).mean() < 0.6 * np.abs(heads.mean() - heads).mean()
