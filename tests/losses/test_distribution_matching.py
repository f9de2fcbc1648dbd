import math

import pytest
import torch

from sam_mprompt.losses import Heads, MutualPromptLoss, Targets
from sam_mprompt.losses.distribution_matching import (
    DistributionMatching,
    cell_centres,
    square_distances,
    total_variation,
)
from sam_mprompt.losses.sinkhorn import Transport
from sam_mprompt.recipe.loss import DmLoss

STRIDE = 8
RECIPE = DmLoss(kind="dm", segmentation=0, context=0, density_scale=2.0 * STRIDE)


def targets(points, per_crop, cells=2):
    none = torch.zeros(len(per_crop), 1, cells, cells)
    heads = Heads(torch.tensor(points, dtype=torch.float32).view(-1, 2), per_crop)
    return Targets(none, none.bool(), ~none.bool(), heads)


def crop(*rows):
    return torch.tensor(rows)[None, None]


def test_cells_are_at_their_centres_in_pixels_row_by_row():
    assert cell_centres(torch.zeros(2, 3), 4).tolist() == [[2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6]]


def test_distances_are_those_of_every_place_to_every_point():
    found = square_distances(torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
    assert found.tolist() == [[25], [8]]


def test_a_head_in_one_cell_is_moved_onto_its_point_at_the_square_of_the_distance():
    loss = DistributionMatching(RECIPE, stride=STRIDE)
    density = crop([1.0, 0.0], [0.0, 0.0])[0, 0]
    assert loss.moving(density, torch.tensor([[4.0, 7.0]])).item() == pytest.approx(9, abs=0.01)


def test_the_gradient_of_transport_takes_mass_from_far_cells_to_near_ones_and_keeps_the_count():
    density = torch.full((2, 2), 0.5, requires_grad=True)
    DistributionMatching(RECIPE, stride=STRIDE).moving(density, torch.tensor([[2.0, 2.0]])).backward()
    slope = density.grad
    assert slope is not None
    assert slope[0, 0] < 0 < slope[1, 1]
    assert (slope * density).sum().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("heads", [1.5, 6.0])
def test_the_gradient_of_transport_is_the_slope_of_its_cost(heads):
    loss = DistributionMatching(RECIPE.model_copy(update={"epsilon": 20.0, "rounds": 300}), stride=STRIDE)
    points, way = torch.tensor([[2.0, 2.0], [20.0, 9.0]]), torch.tensor([[1.0, -0.5, 0.25], [0.5, -0.25, 1.0]])
    density = (torch.tensor([[1.0, 2.0, 1.0], [3.0, 2.0, 1.0]]) * heads / 10).requires_grad_()
    loss.moving(density, points).backward()
    step = heads / 1000
    ahead, behind = (loss.moving(density.detach() + moved * way, points).item() for moved in (step, -step))
    assert density.grad is not None
    assert (density.grad * way).sum().item() == pytest.approx((ahead - behind) / (2 * step), rel=0.02)


def test_only_entropy_costs_where_every_head_has_its_density():
    loss = DistributionMatching(RECIPE, stride=STRIDE)
    cost = loss.moving(crop([0.5, 0.0, 0.0], [0.0, 0.0, 0.5])[0, 0], torch.tensor([[4.0, 4.0], [20.0, 12.0]]))
    assert cost.item() == pytest.approx(RECIPE.epsilon * math.log(2), rel=1e-3)  # each half knows its head of two


def test_what_is_moved_is_made_where_the_density_is(monkeypatch):
    asked = []

    def noted(*given, **_):
        asked.extend(given)
        return Transport(given[0].sum(), given[1])

    monkeypatch.setattr("sam_mprompt.losses.distribution_matching.transport", noted)
    density = torch.zeros(2, 1, 2, 3, device="meta")
    terms = MutualPromptLoss(RECIPE, stride=STRIDE)(
        density, None, targets([[4.0, 4.0]] * 3, (2, 1)).to(density.device), epoch=0
    )
    assert {tensor.device.type for tensor in [*asked, *terms.values()]} == {"meta"}
    assert len(asked) == 2 * 3


def test_one_predicted_head_where_two_are_is_no_variation():
    assert total_variation(crop([1.0, 0.0], [0.0, 0.0]), crop([2.0, 0.0], [0.0, 0.0])).tolist() == [0]


def test_a_batch_has_the_mean_of_its_crops_in_every_term():
    loss = MutualPromptLoss(RECIPE, stride=STRIDE)
    density = torch.arange(12.0).view(2, 1, 2, 3) / 10
    points = [[4.0, 4.0], [20.0, 12.0], [9.0, 3.0]]
    both = loss(density, None, targets(points, (2, 1)), epoch=0)
    each = [
        loss(density[:1], None, targets(points[:2], (2,)), epoch=0),
        loss(density[1:], None, targets(points[2:], (1,)), epoch=0),
    ]
    assert {k: v.item() for k, v in both.items()} == pytest.approx(
        {name: sum(terms[name].item() for terms in each) / 2 for name in both}, rel=1e-5
    )


def test_the_total_variation_is_half_the_difference_of_distributions_times_the_heads():
    cells, density = crop([2.0, 0.0], [0.0, 0.0]), crop([1.0, 1.0], [0.0, 2.0])
    # (1, 0, 0, 0) against (1/4, 1/4, 0, 1/2): half of 3/4 + 1/4 + 1/2, and two heads.
    assert total_variation(density, cells).tolist() == pytest.approx([1.5])


def test_the_loss_is_the_weighted_sum_of_count_transport_and_variation():
    recipe = RECIPE.model_copy(update={"density": 2.0, "transport": 0.5, "variation": 0.25})
    density = crop([1.0, 0.0], [0.0, 2.0])
    terms = MutualPromptLoss(recipe, stride=STRIDE)(density, None, targets([[4, 4]], (1,)), epoch=0)
    # Two thirds of the mass go from (12, 12) to (4, 4), 128 square pixels.
    assert terms["count"].item() == pytest.approx(2)
    assert terms["transport"].item() == pytest.approx(128 * 2 / 3, rel=1e-3)
    assert terms["variation"].item() == pytest.approx(2 / 3)
    own = 2 + 0.5 * 128 * 2 / 3 + 0.25 * 2 / 3
    assert terms["density"].item() == pytest.approx(own, rel=1e-3)
    assert terms["loss"].item() == pytest.approx(2 * own, rel=1e-3)


def test_the_square_of_density_scale_holds_several_crops():
    wide = RECIPE.model_copy(update={"density_scale": 4.0 * STRIDE})
    density, aims = crop([1.0, 0.0], [0.0, 2.0]), targets([[4, 4]], (1,))
    small, large = (MutualPromptLoss(recipe, stride=STRIDE)(density, None, aims, epoch=0) for recipe in (RECIPE, wide))
    assert large["loss"].item() == pytest.approx(4 * small["loss"].item())


def test_heads_of_fewer_crops_than_there_are_are_refused():
    with pytest.raises(ValueError, match="zip"):
        MutualPromptLoss(RECIPE, stride=STRIDE)(torch.ones(2, 1, 2, 2), None, targets([[4, 4]], (1,)), epoch=0)


@pytest.mark.parametrize("level", [0.0, 0.3])
@pytest.mark.parametrize(("points", "per_crop"), [([], (0, 0)), ([[1.0, 1.0]], (0, 1)), ([[1.0, 1.0]] * 30, (30, 0))])
def test_crops_of_nobody_of_one_and_of_many_have_finite_gradients(points, per_crop, level):
    density = torch.full((2, 1, 2, 2), level, requires_grad=True)
    MutualPromptLoss(RECIPE, stride=STRIDE)(density, None, targets(points, per_crop), epoch=0)["loss"].backward()
    assert density.grad is not None
    assert density.grad.isfinite().all()


def test_a_crop_of_nobody_knows_the_count_alone():
    terms = MutualPromptLoss(RECIPE, stride=STRIDE)(torch.full((1, 1, 2, 2), 0.5), None, targets([], (0,)), epoch=0)
    assert (terms["count"].item(), terms["transport"].item(), terms["variation"].item()) == (2, 0, 0)


def test_descent_puts_the_heads_where_they_are():
    raw = torch.full((1, 1, 4, 4), 0.2, requires_grad=True)
    aims, loss = targets([[4.0, 4.0], [28.0, 20.0]], (2,), cells=4), MutualPromptLoss(RECIPE, stride=STRIDE)
    optimizer = torch.optim.Adam([raw], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss(raw.relu(), None, aims, epoch=0)["loss"].backward()
        optimizer.step()
    found = raw.detach().relu()[0, 0]
    assert found[0, 0].item() == pytest.approx(1, abs=0.15)
    assert found[2, 3].item() == pytest.approx(1, abs=0.15)
    assert found.sum().item() == pytest.approx(2, abs=0.1)
