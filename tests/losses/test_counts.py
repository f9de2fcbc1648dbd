import math

import numpy as np
import pytest
import torch

from sam_mprompt.losses.counts import BinStatistics, BlockCounts, bin_edges, bin_of


def logit(p):
    return math.log(p / (1 - p))


def block(pi, weights, centres):
    """The distribution of one block whose bins have these probabilities."""
    bins = torch.tensor(weights).log().view(1, -1, 1, 1)
    return BlockCounts(torch.full((1, 1, 1, 1), logit(pi)), bins, torch.tensor(centres))


def of(counts):
    return torch.full((1, 1, 1, 1), float(counts))


def test_the_rate_is_the_mean_of_the_centres_and_the_density_what_emptiness_leaves_of_it():
    made = block(0.75, [0.5, 0.25, 0.25], [1.0, 2.0, 6.0])
    assert made.rate.item() == pytest.approx(0.5 + 0.5 + 1.5)
    assert made.density.item() == pytest.approx(0.25 * 2.5)


def test_the_likelihood_of_an_empty_block_is_that_of_emptiness_or_of_a_poisson_zero():
    made = block(0.6, [0.5, 0.5], [1.0, 2.0])
    assert made.negative_log_likelihood(of(0)).item() == pytest.approx(-math.log(0.6 + 0.4 * math.exp(-1.5)))


@pytest.mark.parametrize("counts", [1, 2, 5])
def test_the_likelihood_of_heads_is_poissons_where_the_block_is_not_empty(counts):
    made = block(0.6, [0.5, 0.5], [1.0, 2.0])
    expected = 0.4 * 1.5**counts * math.exp(-1.5) / math.factorial(counts)
    assert made.negative_log_likelihood(of(counts)).item() == pytest.approx(-math.log(expected), rel=1e-5)


def test_the_probabilities_of_all_counts_sum_to_one():
    made = block(0.3, [0.2, 0.8], [1.0, 4.0])
    total = sum(math.exp(-made.negative_log_likelihood(of(counts)).item()) for counts in range(60))
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("counts", [0, 3])
@pytest.mark.parametrize("emptiness", [-200.0, 0.0, 200.0])
def test_likelihood_and_gradient_are_finite_whatever_the_logits(counts, emptiness):
    logits = torch.tensor([emptiness, 90.0, -90.0]).view(1, 3, 1, 1).requires_grad_()
    made = BlockCounts(logits[:, :1], logits[:, 1:], torch.tensor([1.0, 40.0]))
    value = made.negative_log_likelihood(of(counts)).sum()
    value.backward()
    assert logits.grad is not None
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_a_rate_of_zero_that_a_file_may_hold_has_a_finite_likelihood():
    made = block(0.5, [0.5, 0.5], [0.0, 0.0])
    assert made.negative_log_likelihood(of(2)).isfinite().all()


def test_half_precision_is_computed_in_float32():
    made = block(0.6, [0.3, 0.7], [1.0, 2.0])
    half = BlockCounts(made.emptiness.bfloat16(), made.bins.bfloat16(), made.centres.bfloat16())
    assert half.density.dtype == half.negative_log_likelihood(of(2)).dtype == torch.float32
    exact = BlockCounts(half.emptiness.float(), half.bins.float(), made.centres)
    assert half.density.item() == exact.density.item()
    assert half.negative_log_likelihood(of(2)).item() == exact.negative_log_likelihood(of(2)).item()


def test_small_counts_have_a_bin_each_and_large_ones_share_ever_wider_ones():
    assert bin_edges(16).tolist() == [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 31, 39, 49, 61]
    assert bin_edges(2).tolist() == [1, 2]


def test_a_count_is_in_the_bin_that_begins_at_or_below_it():
    counts = torch.tensor([0.0, 1.0, 2.0, 6.0, 7.0, 8.0, 9.0, 500.0])
    assert bin_of(counts, 8).tolist() == [0, 0, 1, 5, 5, 6, 6, 7]


def test_edges_of_bins_are_of_the_device_and_type_of_the_counts(monkeypatch):
    asked, plain = [], torch.bucketize

    def noted(counts, edges, **how):
        asked.append((edges.device.type, edges.dtype))
        return plain(counts, edges, **how)

    monkeypatch.setattr(torch, "bucketize", noted)
    assert bin_of(torch.zeros(3, device="meta", dtype=torch.float64), 4).shape == (3,)
    assert asked == [("meta", torch.float64)]


def test_the_centre_of_a_bin_is_the_mean_of_the_counts_in_it_and_of_an_empty_one_its_smallest():
    seen = BinStatistics.of([np.array([[0, 1, 6], [7, 7, 0]], np.float32), np.array([[9, 30]], np.float32)], 7)
    assert seen.centres.tolist() == pytest.approx([1, 2, 3, 4, 5, 20 / 3, 19.5])


def test_the_centre_of_a_bin_that_was_seen_once_is_what_was_seen():
    assert BinStatistics.of([np.array([[9, 0]], np.float32)], 7).centres[6] == 9


def test_frequencies_are_shares_of_the_blocks_with_heads_each_bin_with_half_a_block_more():
    seen = BinStatistics.of([np.array([[0, 1, 1], [2, 0, 0]], np.float32)], 3)
    assert seen.frequencies.tolist() == pytest.approx([2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5])
    assert (seen.frequencies.dtype, seen.centres.dtype) == (np.float64, np.float32)


def test_a_counter_that_starts_by_the_statistics_expects_the_mean_of_the_images():
    blocks = [np.array([[0, 0, 0, 3], [1, 0, 0, 0]], np.float32)]
    seen = BinStatistics.of(blocks, 4)
    start = block(seen.emptiness, seen.frequencies.tolist(), seen.centres.tolist())
    assert start.density.item() == pytest.approx(0.5, rel=1e-5)
    assert seen.frequencies.sum() == pytest.approx(1)
    assert (seen.frequencies > 0).all()


@pytest.mark.parametrize("heads", [0.0, 4.0])
def test_images_of_nobody_or_of_heads_everywhere_give_a_finite_start(heads):
    seen = BinStatistics.of([np.full((2, 2), heads, np.float32)], 5)
    assert 0 < seen.emptiness < 1
    assert np.isfinite(seen.centres).all()
    assert (seen.centres > 0).all()
