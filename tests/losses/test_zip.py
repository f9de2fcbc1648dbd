import math

import pytest
import torch

from sam_mprompt.losses import BlockCounts, Heads, MutualPromptLoss, Targets
from sam_mprompt.losses.zip import bin_errors, scale_errors
from sam_mprompt.recipe.loss import ZipLoss

STRIDE = 8


def targets(points, per_crop, cells=2):
    none = torch.zeros(len(per_crop), 1, cells, cells)
    heads = Heads(torch.tensor(points, dtype=torch.float32).view(-1, 2), per_crop)
    return Targets(none, none.bool(), ~none.bool(), heads)


def predicted(crops=1, cells=2, bins=3):
    torch.manual_seed(0)
    logits = torch.randn(crops, 1 + bins, cells, cells, requires_grad=True)
    return logits, BlockCounts(logits[:, :1], logits[:, 1:], torch.arange(1.0, bins + 1))


def terms_of(recipe, counts, aims):
    loss = MutualPromptLoss(recipe, stride=STRIDE)
    return loss(counts.density, None, aims, epoch=0, counts=counts)


def test_the_terms_of_one_block_are_those_computed_by_hand():
    recipe = ZipLoss(kind="zip", bins=2, segmentation=0, context=0, density_scale=STRIDE, density=3.0, bin_weight=0.5)
    bins = torch.tensor([0.25, 0.75]).log().view(1, 2, 1, 1)
    counts = BlockCounts(torch.zeros(1, 1, 1, 1), bins, torch.tensor([1.0, 2.0]))
    terms = terms_of(recipe, counts, targets([[1, 1], [2, 3]], (2,), cells=1))
    rate = 1.75
    likelihood = -math.log(0.5 * rate**2 * math.exp(-rate) / 2)
    assert terms["likelihood"].item() == pytest.approx(likelihood, rel=1e-5)
    assert terms["bins"].item() == pytest.approx(-math.log(0.75))
    error = 2 - 0.5 * rate
    assert terms["scales"].item() == pytest.approx(error * (1 / 4 + 1 / 2 / 4 + 1 / 16))  # alone in each square
    assert terms["count"].item() == pytest.approx(error)
    own = likelihood - 0.5 * math.log(0.75) + error * (1 + 7 / 16)
    assert terms["density"].item() == pytest.approx(own, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(3 * own, rel=1e-5)


def test_a_density_alone_is_refused_with_what_has_to_predict_more():
    with pytest.raises(AssertionError, match=r"^a recipe with loss\.kind = 'zip' builds a counter that predicts"):
        MutualPromptLoss(ZipLoss(kind="zip"), stride=STRIDE)(
            torch.ones(1, 1, 2, 2), None, targets([[1, 1]], (1,)), epoch=0
        )


def test_only_blocks_with_heads_say_which_bin_it_is():
    _, counts = predicted()
    blocks = torch.tensor([[[[0.0, 2.0], [0.0, 1.0]]]])
    errors = bin_errors(counts, blocks)
    assert errors[blocks == 0].tolist() == [0, 0]
    expected = -counts.bins.log_softmax(dim=1)
    assert errors[0, 0, :, 1].tolist() == pytest.approx([expected[0, 1, 0, 1].item(), expected[0, 0, 1, 1].item()])


def test_errors_of_neighbours_cancel_in_larger_squares_and_not_in_small_ones():
    blocks = torch.zeros(1, 1, 4, 4)
    density = blocks.clone()
    blocks[0, 0, 0, 0], density[0, 0, 0, 1] = 1, 1  # the neighbour, in the same squares of 2 and 4
    assert scale_errors(density, blocks).tolist() == pytest.approx([2 / 4])
    density = torch.zeros(1, 1, 4, 4)
    density[0, 0, 3, 3] = 1  # the same square of 4 only
    assert scale_errors(density, blocks).tolist() == pytest.approx([2 / 4 + 2 / 4 / 2])


@pytest.mark.parametrize("other", [(1, 2), (2, 1)])
def test_squares_begin_at_the_first_row_and_column(other):
    blocks, density = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    blocks[0, 0, 1, 1], density[(0, 0, *other)] = 1, 1  # two squares of 2, one of 4
    assert scale_errors(density, blocks).tolist() == pytest.approx([2 / 4 + 2 / 4 / 2])


def test_squares_beyond_the_edge_hold_nobody():
    density = torch.ones(2, 1, 5, 3)
    assert scale_errors(density, torch.zeros_like(density)).tolist() == pytest.approx(
        [15 * (1 / 4 + 1 / 8 + 1 / 16)] * 2
    )


def test_errors_that_cancel_within_a_crop_leave_its_count_alone():
    _, counts = predicted()
    total = counts.density.sum().item()
    whole = int(total)
    aims = targets([[1.0, 1.0]] * whole, (whole,))
    recipe = ZipLoss(kind="zip", bins=3, segmentation=0, context=0, density_scale=2.0 * STRIDE)
    assert terms_of(recipe, counts, aims)["count"].item() == pytest.approx(total - whole, rel=1e-4)


@pytest.mark.parametrize(("points", "per_crop"), [([], (0, 0)), ([[1.0, 1.0]], (0, 1)), ([[1.0, 1.0]] * 30, (30, 0))])
def test_crops_of_nobody_of_one_and_of_many_have_finite_gradients(points, per_crop):
    logits, counts = predicted(crops=2)
    terms = terms_of(ZipLoss(kind="zip", bins=3, segmentation=0, context=0), counts, targets(points, per_crop))
    terms["loss"].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


def test_neither_batch_nor_crop_size_changes_the_balance():
    recipe = ZipLoss(kind="zip", bins=3, segmentation=0, context=0)
    _, counts = predicted(cells=4)
    points = [[9.0, 3.0], [9.5, 3.5], [20.0, 20.0]]
    small = terms_of(recipe, counts, targets(points, (3,), cells=4))
    wide = BlockCounts(
        *(torch.cat([maps] * 2, dim=3).repeat(3, 1, 1, 1) for maps in (counts.emptiness, counts.bins)), counts.centres
    )
    both = [*points, *([x + 4 * STRIDE, y] for x, y in points)]
    flat = torch.zeros(3, 1, 4, 8)
    heads = Heads(torch.tensor(both * 3), (6, 6, 6))
    large = terms_of(recipe, wide, Targets(flat, flat.bool(), flat.bool(), heads))
    assert {k: v.item() for k, v in small.items()} == pytest.approx({k: v.item() for k, v in large.items()}, rel=1e-4)


def test_the_square_of_density_scale_holds_several_crops_in_every_term():
    _, counts = predicted()
    aims = targets([[1.0, 1.0], [9.0, 1.0]], (2,))
    small, large = (
        terms_of(ZipLoss(kind="zip", bins=3, segmentation=0, context=0, density_scale=scale * STRIDE), counts, aims)
        for scale in (2.0, 4.0)
    )
    assert {k: v.item() for k, v in large.items()} == pytest.approx({k: 4 * v.item() for k, v in small.items()})


def test_the_likelihood_alone_finds_the_counts_of_blocks():
    recipe = ZipLoss(kind="zip", bins=4, segmentation=0, context=0, count=0, bin_weight=0)
    logits, _ = predicted(crops=1, bins=4)
    aims = targets([[1.0, 1.0], [9.0, 1.0], [9.0, 2.0], [9.0, 3.0]], (4,))
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        counts = BlockCounts(logits[:, :1], logits[:, 1:], torch.arange(1.0, 5.0))
        optimizer.zero_grad()
        terms_of(recipe, counts, aims)["loss"].backward()
        optimizer.step()
    assert counts.density[0, 0].tolist() == [pytest.approx([1, 3], abs=0.15), pytest.approx([0, 0], abs=0.05)]
