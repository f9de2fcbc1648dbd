import pytest
import torch

from sam_mprompt.losses.sinkhorn import transport


def squares(places, points):
    return (torch.tensor(places)[:, None] - torch.tensor(points)[None]) ** 2


def test_all_mass_in_one_place_moves_at_its_own_cost():
    found = transport(torch.tensor([[9.0]]), torch.ones(1), torch.ones(1), epsilon=1.0, rounds=20)
    assert found.cost.item() == pytest.approx(9)


def test_two_places_move_each_to_the_point_near_it():
    cost = squares([0.0, 100.0], [3.0, 96.0])  # 9 and 16, crosswise about 9000
    found = transport(cost, torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.5]), epsilon=0.1, rounds=40)
    assert found.cost.item() == pytest.approx((9 + 16) / 2, abs=0.1)


def test_mass_that_is_too_much_in_one_place_crosses_to_the_other():
    cost = squares([0.0, 10.0], [0.0, 10.0])
    found = transport(cost, torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]), epsilon=0.5, rounds=100)
    # A quarter has to go ten pixels; the entropy of that plan costs less than one epsilon.
    assert found.cost.item() == pytest.approx(25, abs=0.5)
    assert (found.potential[0] - found.potential[1]).item() == pytest.approx(100, rel=0.02)


def test_the_potential_is_the_slope_of_the_cost():
    torch.manual_seed(0)
    cost, mass = torch.rand(12, 5) * 50, torch.rand(12).softmax(0)
    target = torch.full((5,), 0.2)
    way = torch.randn(12)
    way -= way.mean()
    step = 1e-3

    def at(moved):
        return transport(cost, mass + moved * way, target, epsilon=5.0, rounds=400)

    rise = (at(step).cost - at(-step).cost).item() / (2 * step)
    assert (at(0.0).potential @ way).item() == pytest.approx(rise, rel=0.01)


def test_few_rounds_find_the_potential_of_many_also_where_mass_is_far_away():
    torch.manual_seed(1)
    cost = torch.cartesian_prod(torch.arange(0.0, 224, 8), torch.arange(0.0, 224, 8))[:, None] - torch.rand(20, 2) * 60
    cost = cost.square().sum(dim=2)
    mass, target = torch.rand(len(cost)).softmax(0), torch.full((20,), 0.05)
    few, many = (transport(cost, mass, target, epsilon=10.0, rounds=n).potential for n in (20, 400))
    assert torch.cosine_similarity(few - few.mean(), many - many.mean(), dim=0) > 0.999


def test_places_of_almost_no_mass_have_a_finite_potential():
    found = transport(torch.tensor([[0.0], [1e5]]), torch.tensor([1.0, 1e-30]), torch.ones(1), epsilon=1.0, rounds=10)
    assert found.potential.isfinite().all()
    assert found.cost.item() == pytest.approx(0, abs=1e-3)


def test_nothing_of_it_records_gradients():
    cost, half = torch.tensor([[9.0, 1.0], [1.0, 4.0]], requires_grad=True), torch.full((2,), 0.5)
    found = transport(cost, half, half, epsilon=1.0, rounds=5)
    assert (found.cost.requires_grad, found.potential.requires_grad) == (False, False)
