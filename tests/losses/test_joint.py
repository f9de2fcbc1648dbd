import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sam_mprompt.losses import (
    MutualPromptLoss,
    Targets,
    context_loss,
    context_of_target,
    context_overlap,
    offline_prompt,
    online_prompt,
)
from sam_mprompt.recipe.schema import MseLoss


def maps(*rows, dtype=torch.float32):
    return torch.tensor(rows, dtype=dtype)[None, None]


DENSITY = maps([0.0, 0.2], [0.0, 0.0])
PSEUDO = maps([True, False], [False, False], dtype=torch.bool)
CONTEXT = maps([True, True], [False, True], dtype=torch.bool)
TARGETS = Targets(DENSITY, PSEUDO, CONTEXT)


def test_both_prompts_binarise_by_the_same_threshold():
    density = torch.tensor([[[[0.04, 0.06]]]])
    nobody, everywhere = torch.zeros(1, 1, 1, 2, dtype=torch.bool), torch.ones(1, 1, 1, 2, dtype=torch.bool)
    loss = MutualPromptLoss(MseLoss(threshold=0.05, kappa=1), stride=8)
    targets = Targets(density, nobody, everywhere)
    assert loss.target_mask(targets, torch.zeros(1, 1, 1, 2), epoch=0).flatten().tolist() == [False, True]
    assert loss.target_mask(Targets(density * 0, nobody, everywhere), density, epoch=1).flatten().tolist() == [
        False,
        True,
    ]


def test_the_offline_prompt_is_the_union_with_the_binarised_density():
    assert offline_prompt(PSEUDO, DENSITY).tolist() == [[[[True, True], [False, False]]]]


def test_the_online_prompt_adds_predictions_and_keeps_to_the_context():
    predicted = maps([0.0, 0.0], [0.3, 0.1])
    assert online_prompt(PSEUDO, predicted, CONTEXT).tolist() == [[[[True, False], [False, True]]]]


def test_the_online_prompt_ignores_predictions_up_to_its_threshold():
    predicted = maps([0.0, 0.0], [0.3, 0.1])
    assert not online_prompt(PSEUDO, predicted, CONTEXT, threshold=0.1)[0, 0, 1, 1]


def test_eq_3_counts_binarised_cells():
    predicted, logits = maps([0.5, 0.1], [0.0, 0.2]), maps([1.0, -1.0], [1.0, 1.0])
    assert float(context_overlap(predicted, logits)) == pytest.approx(-2 / 3)


def test_the_surrogate_is_minus_the_share_of_heads_inside_the_mask():
    predicted, sure = maps([3.0, 1.0], [0.0, 0.0]), maps([50.0, -50.0], [50.0, 50.0])
    assert float(context_loss(predicted, sure)) == pytest.approx(-0.75)
    unsure = maps([0.0, 0.0], [0.0, 0.0])
    assert float(context_loss(predicted, unsure)) == pytest.approx(-0.5)


def test_a_segmenter_that_is_sure_of_nothing_moves_nothing():
    predicted = torch.tensor([[[[3.0, 1.0]]]], requires_grad=True)
    context_loss(predicted, torch.full((1, 1, 1, 2), -0.3)).backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().max() < 1e-6


def test_context_prompts_move_density_into_the_mask_and_leave_the_mask_alone():
    predicted = torch.tensor([[[[2.0, 2.0]]]], requires_grad=True)
    logits = torch.tensor([[[[1.0, -1.0]]]], requires_grad=True)
    context_loss(predicted, logits).backward()
    assert predicted.grad is not None
    assert predicted.grad[0, 0, 0, 0] < 0 < predicted.grad[0, 0, 0, 1]
    assert logits.grad is None


def test_context_by_the_target_lowers_nobody_inside_it_and_asks_each_image_alike():
    mask = torch.tensor([[[[True, False]]], [[[True, True]]]])
    predicted = torch.tensor([[[[1.0, 3.0]]], [[[50.0, 50.0]]]], requires_grad=True)
    loss = context_of_target(predicted, mask)
    assert loss.item() == pytest.approx(-(0.25 + 1) / 2)
    loss.backward()
    assert predicted.grad is not None
    assert ((predicted.grad < 0) == mask)[0].all()
    assert predicted.grad[1].abs().max() < 1e-6
    assert float(context_of_target(torch.zeros(1, 1, 1, 2), mask[:1])) == 0


def test_context_by_the_target_knows_nothing_of_the_segmenter():
    predicted, targets = torch.rand(2, 1, 2, 2), Targets(*(value.expand(2, 1, 2, 2) for value in TARGETS.maps.values()))
    of_target, of_segmenter = (
        {
            float(MutualPromptLoss(MseLoss(context_by=by), stride=4)(predicted, logits, targets, epoch=0)["context"])
            for logits in (torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2))
        }
        for by in ("target", "segmenter")
    )
    assert (len(of_target), len(of_segmenter)) == (1, 2)


def test_an_empty_prediction_has_a_finite_context_gradient():
    predicted = torch.zeros(1, 1, 2, 2, requires_grad=True)
    context_loss(predicted, torch.ones(1, 1, 2, 2)).backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().max() <= 1


def test_the_loss_is_the_weighted_sum_of_its_terms():
    recipe = MseLoss(density=2.0, segmentation=0.5, context=0.25, count=0.125)
    predicted, logits = torch.rand(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    targets = Targets(*(value.expand(2, 1, 2, 2) for value in TARGETS.maps.values()))
    terms = MutualPromptLoss(recipe, stride=4)(predicted, logits, targets, epoch=0)
    expected = 2 * terms["density"] + terms["segmentation"] / 2 + terms["context"] / 4 + terms["count"] / 8
    assert float(terms["loss"]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("switches", "epoch", "expected"),
    [
        ({"offline": False, "online": False}, 99, [[True, False], [False, False]]),
        ({"offline": True, "online": False}, 99, [[True, True], [False, False]]),
        ({"offline": True, "online": True}, 49, [[True, True], [False, False]]),
        ({"offline": True, "online": True}, 50, [[True, True], [False, True]]),
        ({"offline": False, "online": True}, 50, [[True, False], [False, True]]),
    ],
)
def test_each_prompt_has_its_switch_and_online_waits_for_kappa(switches, epoch, expected):
    loss = MutualPromptLoss(MseLoss(kappa=50, **switches), stride=1)
    assert loss.target_mask(TARGETS, maps([0.0, 0.0], [0.3, 0.3]), epoch=epoch)[0, 0].tolist() == expected


def test_without_a_segmenter_only_the_density_counts():
    terms = MutualPromptLoss(MseLoss(segmentation=0, context=0), stride=1)(DENSITY, None, TARGETS, epoch=0)
    assert set(terms) == {"loss", "density"}
    assert float(terms["loss"]) == 0


@pytest.mark.parametrize("weights", [{"count": 1.0}, {}])
def test_batch_and_crop_size_do_not_change_the_balance(weights):
    loss = MutualPromptLoss(MseLoss(**weights), stride=4)
    predicted, logits = torch.rand(1, 1, 4, 4), torch.randn(1, 1, 4, 4)
    targets = Targets(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4) > 0.5, torch.rand(1, 1, 4, 4) > 0.5)
    small = loss(predicted, logits, targets, epoch=99)
    tile = (3, 1, 2, 2)
    large_targets = Targets(*(value.repeat(tile) for value in targets.maps.values()))
    large = loss(predicted.repeat(tile), logits.repeat(tile), large_targets, epoch=99)
    assert {k: float(v) for k, v in small.items()} == pytest.approx({k: float(v) for k, v in large.items()}, rel=1e-5)


def test_the_density_term_is_the_squared_error_summed_over_a_square_of_density_scale():
    stride, side = 4, 8
    error = torch.full((1, 1, side // stride, side // stride), 0.5)
    terms = MutualPromptLoss(MseLoss(density_scale=side, segmentation=0, context=0), stride=stride)(
        error, None, Targets(torch.zeros_like(error), error > 9, error > 9), epoch=0
    )
    per_pixel = 0.5 / stride**2
    assert float(terms["density"]) == pytest.approx(side**2 * per_pixel**2)


def cells(elements, dtype):
    return arrays(dtype, (2, 1, 3, 4), elements=elements).map(torch.from_numpy)


MASKS = cells(st.booleans(), np.bool_)
DENSITIES = cells(st.sampled_from([0.0, 0.05, 0.2, 1.0, 7.0]), np.float32)
LOGITS = cells(st.floats(-6, 6, width=32), np.float32)


@given(MASKS, DENSITIES)
def test_eq_1_marks_a_cell_exactly_when_mask_or_density_does(pseudo, density):
    expected = [bool(m) or float(d) > 0 for m, d in zip(pseudo.flatten(), density.flatten(), strict=True)]
    assert offline_prompt(pseudo, density).flatten().tolist() == expected


@given(MASKS, DENSITIES, MASKS, st.sampled_from([0.0, 0.1, 0.5]))
def test_eq_2_marks_a_cell_exactly_when_the_context_and_mask_or_prediction_do(mask, predicted, context, threshold):
    expected = [
        (bool(m) or float(d) > np.float32(threshold)) and bool(k)
        for m, d, k in zip(mask.flatten(), predicted.flatten(), context.flatten(), strict=True)
    ]
    assert online_prompt(mask, predicted, context, threshold=threshold).flatten().tolist() == expected


@given(MASKS, DENSITIES, MASKS)
def test_prompting_twice_with_the_same_prediction_changes_nothing(mask, predicted, context):
    once = online_prompt(mask, predicted, context)
    assert torch.equal(online_prompt(once, predicted, context), once)


@given(DENSITIES, LOGITS)
def test_eq_3_is_minus_the_share_of_predicted_cells_inside_the_mask(predicted, logits):
    counted = [(d > 0, z > 0) for d, z in zip(predicted.flatten().tolist(), logits.flatten().tolist(), strict=True)]
    inside, every = sum(d and z for d, z in counted), sum(d for d, _ in counted)
    assert float(context_overlap(predicted, logits)) == pytest.approx(-inside / max(every, 1))


@given(DENSITIES, LOGITS)
def test_the_surrogate_never_leaves_minus_one_to_zero_and_knows_no_places(predicted, logits):
    loss = float(context_loss(predicted, logits))
    assert -1 - 1e-6 <= loss <= 0
    order = torch.randperm(predicted.numel())
    shuffled = [maps.flatten()[order].reshape(maps.shape) for maps in (predicted, logits)]
    assert float(context_loss(*shuffled)) == pytest.approx(loss, abs=1e-5)


@given(DENSITIES, LOGITS)
def test_a_sure_segmenter_makes_the_surrogate_eq_3_weighed_by_heads(predicted, logits):
    sure = torch.where(logits > 0, 80.0, -80.0)
    inside = float(predicted[logits > 0].sum())
    expected = -inside / max(float(predicted.sum()), 1.0)
    assert float(context_loss(predicted, sure)) == pytest.approx(expected, abs=1e-5)


@given(DENSITIES.filter(lambda density: density.sum() >= 1), LOGITS)
def test_twice_as_many_heads_in_the_same_places_do_not_change_the_surrogate(predicted, logits):
    assert float(context_loss(2 * predicted, logits)) == pytest.approx(float(context_loss(predicted, logits)), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_mixed_precision_are_computed_in_float32(dtype):
    recipe = MseLoss(count=0.5, kappa=0)
    torch.manual_seed(0)
    predicted, logits = torch.rand(2, 1, 8, 8).to(dtype), torch.randn(2, 1, 8, 8).to(dtype)
    targets = Targets(torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8) > 0.5, torch.rand(2, 1, 8, 8) > 0.5)
    loss = MutualPromptLoss(recipe, stride=4)
    terms, exact = loss(predicted, logits, targets, epoch=0), loss(predicted.float(), logits.float(), targets, epoch=0)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert {name: float(term) for name, term in terms.items()} == {name: float(term) for name, term in exact.items()}


def test_a_cell_of_the_smallest_density_is_a_head_and_one_of_none_is_not():
    tiny, nobody = maps([1e-30, 0.0]), maps([False, False], dtype=torch.bool)
    everywhere = maps([True, True], dtype=torch.bool)
    assert offline_prompt(nobody, tiny).flatten().tolist() == [True, False]
    assert online_prompt(nobody, tiny, everywhere).flatten().tolist() == [True, False]
    assert float(context_overlap(maps([1e-30, 1e-30]), maps([0.0, 1e-3]))) == -0.5  # a logit of 0 is no mask yet


def test_the_recipes_threshold_is_that_of_the_overlap_and_of_the_online_prompt():
    predicted, logits = maps([0.3, 0.1], [0.0, 0.0]), maps([-1.0, 1.0], [-1.0, -1.0])
    loss = MutualPromptLoss(MseLoss(threshold=0.2, kappa=0, offline=False), stride=1)
    assert loss.target_mask(TARGETS, predicted, epoch=0).flatten().tolist() == [True, False, False, False]
    targets = Targets(DENSITY, ~PSEUDO & PSEUDO, CONTEXT)
    assert loss.target_mask(targets, predicted, epoch=0).flatten().tolist() == [True, False, False, False]
    assert float(loss(predicted, logits, targets, epoch=0)["overlap"]) == 0
    loss = MutualPromptLoss(MseLoss(threshold=0.05), stride=1)
    assert float(loss(predicted, logits, targets, epoch=0)["overlap"]) == -0.5


def test_targets_go_to_a_device_whole():
    there = TARGETS.to(torch.device("meta"))
    assert {value.device.type for value in there.maps.values()} == {"meta"}
    here = TARGETS.to(torch.device("cpu"))
    assert all(torch.equal(value, getattr(here, name)) for name, value in TARGETS.maps.items())


def test_targets_are_pinned_whole(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())  # a CPU has nothing to pin for
    pinned = TARGETS.pin_memory()
    for name, value in TARGETS.maps.items():
        assert getattr(pinned, name) is not value
        assert torch.equal(getattr(pinned, name), value)


def test_the_count_term_is_the_mean_error_of_each_image_and_errors_of_two_do_not_cancel():
    loss = MutualPromptLoss(MseLoss(count=1.0, density_scale=8.0), stride=4)
    one = torch.ones(2, 1, 2, 2)
    targets = Targets(one, one.bool(), one.bool())
    predicted = torch.tensor([4.0, 0.0])[:, None, None, None].expand(2, 1, 2, 2)
    # A mean of |4 - 1| and |0 - 1| heads in each cell; the square of that side has (8 / 4) ** 2 cells.
    assert float(loss(predicted, None, targets, epoch=0)["count"]) == pytest.approx(2 * 4)


def test_every_term_has_its_name_and_weightless_ones_are_left_out():
    predicted, logits = torch.rand(1, 1, 2, 2), torch.randn(1, 1, 2, 2)
    every = MutualPromptLoss(MseLoss(count=0.1), stride=1)(predicted, logits, TARGETS, epoch=0)
    assert set(every) == {"loss", "density", "count", "segmentation", "overlap", "context"}
    plain = MutualPromptLoss(MseLoss(context=0, count=0), stride=1)(predicted, logits, TARGETS, epoch=0)
    assert set(plain) == {"loss", "density", "segmentation", "overlap"}
    small = MutualPromptLoss(MseLoss(context=0.5, count=0.5), stride=1)(predicted, logits, TARGETS, epoch=0)
    assert {"count", "context"} <= set(small)


def test_the_segmenter_learns_the_mask_that_the_prompts_make_at_this_epoch():
    logits, predicted = maps([2.0, -1.0], [0.5, -3.0]), maps([0.0, 0.0], [0.3, 0.3])
    loss = MutualPromptLoss(MseLoss(kappa=5), stride=1)
    for epoch in (4, 5):
        mask = loss.target_mask(TARGETS, predicted, epoch=epoch)
        p = logits.sigmoid()
        expected = -torch.where(mask, p, 1 - p).log().mean()
        assert float(loss(predicted, logits, TARGETS, epoch=epoch)["segmentation"]) == pytest.approx(float(expected))


def test_a_single_predicted_cell_may_lie_wholly_inside_the_mask():
    assert float(context_overlap(maps([0.5, 0.0]), maps([1.0, 1.0]))) == -1.0
    assert float(context_overlap(maps([0.0, 0.0]), maps([1.0, 1.0]))) == 0.0
