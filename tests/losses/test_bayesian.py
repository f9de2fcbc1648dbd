import math

import pytest
import torch

from sam_mprompt.losses import Heads, MutualPromptLoss, Targets
from sam_mprompt.losses.bayesian import BayesianCounts, posteriors
from sam_mprompt.recipe.loss import BayesianLoss

STRIDE = 8
RECIPE = BayesianLoss(kind="bayesian", segmentation=0, context=0, density_scale=2.0 * STRIDE)


def targets(points, per_crop, cells=2):
    none = torch.zeros(len(per_crop), 1, cells, cells)
    heads = Heads(torch.tensor(points, dtype=torch.float32).view(-1, 2), per_crop)
    return Targets(none, none.bool(), ~none.bool(), heads)


def terms_of(recipe, density, aims):
    return MutualPromptLoss(recipe, stride=STRIDE)(density, None, aims, epoch=0)


def test_the_posterior_of_one_head_and_the_background_is_that_of_two_gaussians():
    found = posteriors(torch.tensor([[0.0], [25.0], [100.0]]), sigma=4.0, background=10.0)
    for (head, background), distance in zip(found.tolist(), (0, 5, 10), strict=True):
        own, other = math.exp(-(distance**2) / 32), math.exp(-((10 - distance) ** 2) / 32)
        assert head == pytest.approx(own / (own + other))
        assert background == pytest.approx(other / (own + other))


def test_the_background_is_measured_from_the_nearest_head():
    near, far = 4.0, 1e4
    alone = posteriors(torch.tensor([[near]]), sigma=2.0, background=6.0)
    beside = posteriors(torch.tensor([[far, near]]), sigma=2.0, background=6.0)
    assert beside[0].tolist() == pytest.approx([0.0, *alone[0].tolist()])


def test_a_cell_far_from_all_heads_is_the_backgrounds():
    found = posteriors(torch.tensor([[1e8]]), sigma=8.0, background=60.0)
    assert found[0].tolist() == pytest.approx([0, 1])


def test_between_two_heads_each_can_expect_half():
    found = posteriors(torch.tensor([[9.0, 9.0]]), sigma=3.0, background=50.0)
    assert found[0].tolist() == pytest.approx([0.5, 0.5, 0], abs=1e-6)


def test_errors_are_what_heads_lack_and_what_the_background_has():
    loss = BayesianCounts(RECIPE, stride=STRIDE)
    density = torch.tensor([[0.75, 0.0], [0.0, 0.0]])
    d = 0.15 * 2 * STRIDE
    at_head = 1 / (1 + math.exp(-(d**2) / 128))
    expected = (1 - 0.75 * at_head) + 0.75 * (1 - at_head)
    assert loss.errors(density, torch.tensor([[4.0, 4.0]])).item() == pytest.approx(expected)


def test_nobody_can_expect_nothing_anywhere():
    loss = BayesianCounts(RECIPE, stride=STRIDE)
    assert loss.errors(torch.full((2, 2), 0.5), torch.zeros(0, 2)).item() == pytest.approx(2)


def test_the_count_is_a_term_of_its_own_that_is_off_by_default():
    density, aims = torch.full((2, 1, 2, 2), 0.5), targets([[4.0, 4.0]] * 3, (3, 0))
    plain = MutualPromptLoss(RECIPE, stride=STRIDE)(density, None, aims, epoch=0)
    assert set(plain) == {"loss", "density"}
    recipe = RECIPE.model_copy(update={"count": 0.5, "density": 2.0})
    terms = MutualPromptLoss(recipe, stride=STRIDE)(density, None, aims, epoch=0)
    assert terms["count"].item() == pytest.approx((1 + 2) / 2)
    assert terms["loss"].item() == pytest.approx(2 * terms["density"].item() + 0.5 * terms["count"].item())


def test_a_batch_has_the_mean_of_its_crops_in_every_term():
    recipe = RECIPE.model_copy(update={"count": 0.5})
    density = torch.arange(12.0).view(2, 1, 2, 3) / 10
    points = [[4.0, 4.0], [20.0, 12.0], [9.0, 3.0]]
    both = terms_of(recipe, density, targets(points, (2, 1)))
    each = [
        terms_of(recipe, density[:1], targets(points[:2], (2,))),
        terms_of(recipe, density[1:], targets(points[2:], (1,))),
    ]
    assert {k: v.item() for k, v in both.items()} == pytest.approx(
        {name: sum(terms[name].item() for terms in each) / 2 for name in both}
    )


def test_the_square_of_density_scale_holds_several_crops_in_every_term():
    recipe = RECIPE.model_copy(update={"count": 0.5})
    density, aims = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]]]]), targets([[4, 4]], (1,))
    small, large = (
        terms_of(recipe.model_copy(update={"density_scale": scale * STRIDE}), density, aims) for scale in (2.0, 4.0)
    )
    assert {k: v.item() for k, v in large.items()} == pytest.approx({k: 4 * v.item() for k, v in small.items()})


def test_everything_is_made_where_the_density_is():
    density = torch.zeros(2, 1, 2, 2, device="meta")
    aims = targets([[4.0, 4.0]] * 3, (3, 0)).to(density.device)
    terms = terms_of(RECIPE.model_copy(update={"count": 0.5}), density, aims)
    assert {term.device.type for term in terms.values()} == {"meta"}


def test_heads_of_fewer_crops_than_there_are_are_refused():
    with pytest.raises(ValueError, match="zip"):
        terms_of(RECIPE, torch.ones(2, 1, 2, 2), targets([[4.0, 4.0]], (1,)))


@pytest.mark.parametrize("level", [0.0, 0.3])
@pytest.mark.parametrize(("points", "per_crop"), [([], (0, 0)), ([[1.0, 1.0]], (0, 1)), ([[1.0, 1.0]] * 30, (30, 0))])
def test_crops_of_nobody_of_one_and_of_many_have_finite_gradients(points, per_crop, level):
    density = torch.full((2, 1, 2, 2), level, requires_grad=True)
    MutualPromptLoss(RECIPE, stride=STRIDE)(density, None, targets(points, per_crop), epoch=0)["loss"].backward()
    assert density.grad is not None
    assert density.grad.isfinite().all()
    if per_crop[0] or per_crop[1]:
        assert density.grad.abs().sum() > 0


def test_descent_gives_each_head_its_one():
    raw = torch.full((1, 1, 6, 6), 0.1, requires_grad=True)
    recipe = RECIPE.model_copy(update={"sigma": 3.0, "background": 0.5})
    aims, loss = targets([[4.0, 4.0], [36.0, 36.0]], (2,), cells=6), MutualPromptLoss(recipe, stride=STRIDE)
    optimizer = torch.optim.Adam([raw], lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss(raw.relu(), None, aims, epoch=0)["loss"].backward()
        optimizer.step()
    found = raw.detach().relu()[0, 0]
    assert found[:3, :3].sum().item() == pytest.approx(1, abs=0.1)
    assert found[3:, 3:].sum().item() == pytest.approx(1, abs=0.1)
