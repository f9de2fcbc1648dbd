import numpy as np

from benchmarks.speed.targets import annotated, crop_targets, measure, plain_loop, scattered
from sam_mprompt.targets import context_radius


def test_both_ways_make_the_targets_of_the_same_crop():
    points = scattered(3000, seed=1)
    radius = context_radius(points, k=3)
    density, context, dots = plain_loop(points, radius, 600, 900)
    ours = crop_targets(annotated(points, radius))
    np.testing.assert_allclose(ours.density, density, atol=1e-5)
    assert np.mean(context != ours.context_mask) < 0.01  # a head's own cell is on in ours, whatever its radius
    assert np.mean(dots != ours.pseudo_mask) < 0.01


def test_every_number_of_heads_has_a_row_and_the_last_one_outside_too():
    assert [row.what.split(",")[1] for row in measure((10, 20))] == [
        " 10 heads in the image",
        " 20 heads in the image",
        " none outside it",
    ]
