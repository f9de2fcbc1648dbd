import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sam_mprompt.targets import box_mask, context_mask, context_radius, density_map, disc_mask, inside, point_mask

SIZE = (61, 83)
POINTS = st.integers(0, 40).flatmap(
    lambda n: arrays(np.float32, (n, 2), elements=st.floats(-30, 120, width=32, allow_nan=False))
)


@given(POINTS, st.sampled_from([1, 2, 4, 8, 16]))
def test_every_head_inside_the_frame_contributes_one(points, stride):
    density = density_map(points, SIZE, stride=stride)
    assert density.shape == (-(-SIZE[0] // stride), -(-SIZE[1] // stride))
    assert density.sum(dtype=np.float64) == pytest.approx(inside(points, SIZE).sum(), abs=1e-4)
    assert density.min() >= 0


@pytest.mark.parametrize("corner", [(0, 0), (82.99, 0), (0, 60.99), (82.99, 60.99)])
def test_a_head_in_a_corner_contributes_one(corner):
    assert density_map(np.array([corner], np.float32), SIZE).sum() == pytest.approx(1, abs=1e-5)


def test_heads_outside_contribute_nothing():
    points = np.array([[-0.01, 5], [83, 5], [5, 61], [-3, -3]], np.float32)
    assert density_map(points, SIZE).sum() == 0


def test_a_coarser_density_is_the_sum_of_its_pixels():
    points = np.array([[10.3, 20.7], [40, 40]], np.float32)
    fine = density_map(points, (64, 80), stride=1)
    coarse = density_map(points, (64, 80), stride=4)
    np.testing.assert_allclose(coarse, fine.reshape(16, 4, 20, 4).sum(axis=(1, 3)), atol=1e-6)


def test_the_density_peaks_at_the_head_and_spans_the_kernel():
    density = density_map(np.array([[40.5, 30.5]], np.float32), SIZE, kernel_size=15)
    assert np.unravel_index(density.argmax(), density.shape) == (30, 40)
    rows, columns = np.nonzero(density)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (15, 15)


def test_a_point_mask_is_a_disc_around_each_head():
    mask = point_mask(np.array([[40.5, 30.5]], np.float32), SIZE, dilation=5)
    assert mask[30, 45]
    assert mask[30, 35]
    assert not mask[30, 46]
    assert not mask[34, 44]
    assert mask.sum() == pytest.approx(np.pi * 25, rel=0.1)


@given(POINTS, st.sampled_from([1, 4, 16]))
def test_no_head_disappears_from_the_masks_at_a_coarse_stride(points, stride):
    kept = points[inside(points, SIZE)].astype(int) // stride
    for mask in (point_mask(points, SIZE, dilation=1, stride=stride), context_mask(points, SIZE, stride=stride)):
        assert mask[kept[:, 1], kept[:, 0]].all()


def test_a_box_mask_covers_the_boxes_and_nothing_else():
    mask = box_mask(np.array([[10, 20, 30, 25], [-5, -5, 2, 3], [80, 58, 99, 99]], np.float32), SIZE)
    expected = np.zeros(SIZE, bool)
    expected[20:25, 10:30] = True
    expected[0:3, 0:2] = True
    expected[58:, 80:] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_box_smaller_than_a_cell_marks_the_cell_it_is_in():
    mask = box_mask(np.array([[33, 17, 35, 19]], np.float32), (64, 64), stride=16)
    assert mask.sum() == 1
    assert mask[1, 2]


def test_a_box_outside_the_frame_marks_nothing():
    assert not box_mask(np.array([[-9, -9, 0, 0], [83, 0, 99, 9]], np.float32), SIZE).any()


def test_context_reaches_to_the_kth_nearest_head():
    points = np.array([[0, 0], [10, 0], [0, 11], [12, 0], [100, 100]], np.float32)
    assert context_radius(points, k=3)[0] == pytest.approx(12)


def test_an_outlying_neighbour_is_stepped_back_from():
    points = np.array([[0, 0], [10, 0], [0, 11], [70, 0], [300, 300], [310, 300]], np.float32)
    assert context_radius(points, k=3)[0] == pytest.approx(11)


def test_stepping_back_goes_on_while_the_radius_is_an_outlier():
    points = np.array([[0, 0], [3, 0], [0, 20], [0, -100], [500, 500]], np.float32)
    assert context_radius(points, k=3)[0] == pytest.approx(3)


def test_stepping_back_stops_at_the_first_radius_that_fits():
    # d = 10, 30, 30: the third does not exceed 2 * 20, so that the second, an outlier beside 10, is never asked.
    points = np.array([[0, 0], [10, 0], [0, 30], [0, -30], [900, 900]], np.float32)
    assert context_radius(points, k=3)[0] == pytest.approx(30)


@given(POINTS)
def test_duplicates_do_not_change_the_context(points):
    np.testing.assert_array_equal(context_mask(points, SIZE), context_mask(np.concatenate([points, points]), SIZE))


@pytest.mark.parametrize(
    ("points", "radii"),
    [
        ([], []),
        ([[5, 5]], [60]),
        ([[5, 5], [5, 5]], [60, 60]),
        ([[5, 5], [20, 25]], [25, 25]),
        ([[5, 5], [5, 25], [5, 35]], [30, 20, 10]),
        ([[5, 5], [5, 15], [5, 935]], [10, 10, 60]),
    ],
    ids=["nobody", "one", "one twice", "two", "three", "three, one far away"],
)
def test_fewer_than_k_plus_one_heads_reach_to_the_last_of_them_and_no_further_than_60_pixels(points, radii):
    assert context_radius(np.array(points, np.float32).reshape(-1, 2), k=3) == pytest.approx(radii)


def test_the_bound_for_few_heads_is_of_the_image_as_it_is_trained_on():
    one = np.array([[5, 5]], np.float32)
    two = np.array([[5, 5], [905, 5]], np.float32)
    assert context_radius(one, k=3, zoom=0.25) * 0.25 == pytest.approx([60])
    assert context_radius(two, k=3, zoom=2.0) * 2.0 == pytest.approx([60, 60])
    many = np.array([[0, 0], [100, 0], [200, 0], [300, 0]], np.float32)
    np.testing.assert_array_equal(context_radius(many, k=3, zoom=2.0), context_radius(many, k=3))


def test_nothing_is_context_where_nobody_is_and_little_around_one_head():
    assert not context_mask(np.zeros((0, 2), np.float32), (400, 400)).any()
    mask = context_mask(np.array([[200, 200]], np.float32), (400, 400))
    assert 0.06 < mask.mean() < 0.08  # pi 60^2 / 400^2


def test_far_background_is_no_context():
    points = np.array([[10, 10], [14, 10], [10, 14], [14, 14]], np.float32)
    mask = context_mask(points, SIZE, k=3)
    assert mask[12, 12]
    assert not mask[50, 70]


# On a lattice distances are exact in float64, and collinear, cocircular and repeated heads are frequent. No coordinate
# is whole, so that it is clear which pixel a head is in, also in the mirror.
LATTICE = st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=14).map(
    lambda pairs: np.array(pairs, np.float32).reshape(-1, 2) * 2.25 + 5.125
)


def radius_by_hand(points, k):
    """The rule of the paper's m_K as it reads, head by head and without a tree."""
    distinct = sorted({tuple(point) for point in points.tolist()})
    radii = []
    for point in points.tolist():
        others = sorted(float(np.hypot(x - point[0], y - point[1])) for x, y in distinct if (x, y) != tuple(point))
        if not others:
            radii.append(60)
            continue
        nearer = min(k, len(others)) - 1
        while nearer > 0 and others[nearer] > 2 * np.mean(others[:nearer]):
            nearer -= 1
        radii.append(others[nearer] if len(others) >= k else min(others[nearer], 60))
    return radii


@given(LATTICE, st.integers(1, 4))
def test_the_context_radius_is_the_rule_done_by_hand(points, k):
    np.testing.assert_allclose(context_radius(points, k=k), radius_by_hand(points, k), rtol=1e-9)


@given(
    LATTICE.filter(lambda points: len(np.unique(points, axis=0)) > 3),
    st.sampled_from([0.5, 2.0, 4.0]),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
)
def test_the_context_radius_scales_with_the_image_and_does_not_depend_on_where_heads_are(points, factor, offset):
    moved = (points + np.array(offset, np.float32)) * np.float32(factor)
    np.testing.assert_allclose(context_radius(moved, k=3), factor * context_radius(points, k=3), rtol=1e-9)


@given(st.integers(4, 12), st.integers(1, 40), st.sampled_from([(1, 0), (0, 1)]))
def test_heads_in_a_row_reach_to_the_third_nearest(n, gap, direction):
    points = (np.arange(n)[:, None] * gap * np.array([direction])).astype(np.float32)
    radii = context_radius(points, k=3)
    assert radii[0] == 3 * gap
    if n >= 7:
        assert radii[3] == 2 * gap


def mirrored(points):
    return np.stack([SIZE[1] - points[:, 0], points[:, 1]], axis=1)


@given(LATTICE, st.sampled_from(["density", "points", "context"]))
def test_targets_of_a_flipped_image_are_the_flipped_targets(points, kind):
    make = {
        "density": lambda heads: density_map(heads, SIZE),
        "points": lambda heads: point_mask(heads, SIZE, dilation=5),
        "context": lambda heads: context_mask(heads, SIZE),
    }[kind]
    np.testing.assert_allclose(make(mirrored(points)), make(points)[:, ::-1], atol=1e-6)


@given(LATTICE, st.integers(0, 16), st.integers(0, 24))
def test_targets_of_a_crop_are_the_cut_targets_away_from_its_border(points, top, left):
    height, width, reach = 44, 58, 15  # a head within half a kernel of the border is spread over what is left of it
    inner = np.s_[reach:-reach, reach:-reach]
    moved, crop = points - np.array([left, top], np.float32), np.s_[top : top + height, left : left + width]
    for made, whole in (
        (density_map(moved, (height, width)), density_map(points, SIZE)),
        (point_mask(moved, (height, width), dilation=5), point_mask(points, SIZE, dilation=5)),
        (context_mask(moved, (height, width)), context_mask(points, SIZE)),
    ):
        np.testing.assert_allclose(made[inner], whole[crop][inner], atol=1e-6)


@given(LATTICE, st.sampled_from([2, 4]))
def test_a_mask_at_a_coarse_stride_is_the_mask_of_the_shrunken_image(points, stride):
    size = (60, 80)
    kept = points[inside(points, size)]
    assert np.array_equal(
        disc_mask(kept, np.full(len(kept), 6.0), size, stride=stride),
        disc_mask(kept / stride, np.full(len(kept), 6.0 / stride), (size[0] // stride, size[1] // stride)),
    )


BOXES = st.lists(
    st.tuples(st.integers(-9, 90), st.integers(-9, 70), st.integers(1, 20), st.integers(1, 20)), max_size=8
).map(lambda rows: np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float32).reshape(-1, 4))


@given(BOXES, st.integers(0, 16), st.integers(0, 24))
def test_box_masks_of_a_flipped_or_cropped_image_are_the_flipped_or_cut_masks(boxes, top, left):
    whole = box_mask(boxes, SIZE)
    mirror = np.stack([SIZE[1] - boxes[:, 2], boxes[:, 1], SIZE[1] - boxes[:, 0], boxes[:, 3]], axis=1)
    np.testing.assert_array_equal(box_mask(mirror, SIZE), whole[:, ::-1])
    moved = boxes - np.array([left, top, left, top], np.float32)
    np.testing.assert_array_equal(box_mask(moved, (44, 58)), whole[top : top + 44, left : left + 58])


@given(POINTS, st.sampled_from([0.5, 0.7, 1.6, 3.0]), st.sampled_from([1, 4]))
def test_a_scaled_image_has_as_many_heads_in_the_same_places(points, factor, stride):
    inner = points[inside(points, SIZE)]
    size = tuple(int(np.ceil(side * factor)) for side in SIZE)
    scaled = density_map(inner * np.float32(factor), size, stride=stride)
    assert scaled.sum(dtype=np.float64) == pytest.approx(len(inner), abs=1e-3)
    for x, y in inner * factor:
        reach = 8 + stride  # half a kernel
        rows = slice(max(0, int(y - reach) // stride), int(y + reach) // stride + 1)
        columns = slice(max(0, int(x - reach) // stride), int(x + reach) // stride + 1)
        assert scaled[rows, columns].sum() >= 1 - 1e-4


@pytest.mark.parametrize(
    ("box", "marked"),
    [
        ([-9, 5, 0, 9], 0),
        ([5, -9, 9, 0], 0),
        ([83, 5, 99, 9], 0),
        ([5, 61, 9, 70], 0),
        ([-9, 5, 1, 9], 4),
        ([5, -9, 9, 1], 4),
        ([82, 5, 99, 9], 4),
        ([5, 60, 9, 70], 4),
    ],
)
def test_a_box_counts_as_far_as_it_reaches_into_the_frame_at_each_side(box, marked):
    assert box_mask(np.array([box], np.float32), SIZE).sum() == marked


def cells_by_hand(low, high, cells, stride):
    """Which cells of an axis a box marks: those with their centre in it, else the one with its middle, all inside."""
    found = [i for i in range(-99, 99) if low <= (i + 0.5) * stride <= high] or [int((low + high) / 2 / stride)]
    return [i for i in found if 0 <= i < cells] or [min(max(found[0], 0), cells - 1)]


@given(
    st.tuples(st.integers(-40, 120), st.integers(-40, 120), st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([1, 3, 4, 16]),
)
def test_a_box_mask_is_the_rule_done_by_hand_at_every_stride(box, stride):
    x, y, width, height = (side / 2 for side in box)
    mask = box_mask(np.array([[x, y, x + width, y + height]], np.float32), SIZE, stride=stride)
    expected = np.zeros_like(mask)
    if x + width > 0 and y + height > 0 and x < SIZE[1] and y < SIZE[0]:
        rows = cells_by_hand(y, y + height, mask.shape[0], stride)
        columns = cells_by_hand(x, x + width, mask.shape[1], stride)
        expected[np.ix_(rows, columns)] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("dilation", [1, 9])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_a_point_mask_is_the_rule_done_by_hand_at_every_stride(dilation, stride):
    points = np.array(
        [[3.2, 4.1], [82.9, 60.9], [40, 30], [-4, 20], [20, 66], [-30, 5], [-8.3, 40], [60, -8.4]], np.float32
    )
    mask = point_mask(points, SIZE, dilation=dilation, stride=stride)
    ys, xs = ((np.arange(cells) + 0.5) * stride for cells in mask.shape)
    near = np.hypot(xs[None, :, None] - points[:, 0], ys[:, None, None] - points[:, 1]) <= dilation
    expected = near.any(axis=2)
    for x, y in points[:3].astype(int):
        expected[y // stride, x // stride] = True
    np.testing.assert_array_equal(mask, expected)


def test_masks_are_of_bool_and_densities_of_float32_also_without_anybody():
    nobody = np.zeros((0, 2), np.float32)
    assert point_mask(nobody, SIZE, dilation=3).dtype == box_mask(np.zeros((0, 4), np.float32), SIZE).dtype == np.bool_
    assert context_mask(nobody, SIZE).dtype == np.bool_
    assert density_map(nobody, SIZE).dtype == density_map(np.array([[5, 5]], np.float32), SIZE).dtype == np.float32


@pytest.mark.parametrize(("x", "y"), [(40.25, 30.75), (0.75, 60.5), (82.25, 1.0)])
def test_a_density_is_a_gaussian_of_its_sigma_cut_to_its_kernel_and_to_the_frame(x, y):
    sigma = 1.5
    density = density_map(np.array([[x, y]], np.float32), SIZE, sigma=sigma, kernel_size=5)
    ys, xs = np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5
    rows, columns = (np.exp(-((at - head) ** 2) / (2 * sigma**2)) for at, head in ((ys, y), (xs, x)))
    rows[np.abs(np.arange(SIZE[0]) - int(y)) > 2] = 0
    columns[np.abs(np.arange(SIZE[1]) - int(x)) > 2] = 0
    np.testing.assert_allclose(density, np.outer(rows / rows.sum(), columns / columns.sum()), atol=1e-7)


def test_densities_are_as_the_paper_has_them_unless_told_otherwise():
    points = np.array([[40.5, 30.5]], np.float32)
    np.testing.assert_array_equal(
        density_map(points, SIZE), density_map(points, SIZE, stride=1, sigma=4.0, kernel_size=15)
    )
    heads = np.array([[9, 9], [14, 9], [20, 9], [27, 9], [35, 9]], np.float32)
    np.testing.assert_array_equal(context_mask(heads, SIZE), context_mask(heads, SIZE, k=3, stride=1))
    assert (context_mask(heads, SIZE, k=2) != context_mask(heads, SIZE)).any()
    assert context_mask(heads, SIZE, stride=4).shape == (16, 21)


def test_a_box_between_two_centres_marks_the_cell_of_its_middle_and_one_beyond_the_last_centre_the_last_cell():
    mask = box_mask(np.array([[41, 5, 43, 6]], np.float32), (64, 64), stride=16)  # centres at 40 and 56
    assert mask[0, 2]
    assert mask.sum() == 1
    mask = box_mask(np.array([[5, 60, 9, 200]], np.float32), SIZE, stride=16)  # four rows, the last of 13 pixels
    assert mask[3, 0]
    assert mask.sum() == 1


@given(LATTICE, st.sampled_from([3.0, 9.0]), st.sampled_from([1, 4]))
def test_the_mask_of_a_turned_image_is_the_turned_mask(points, radius, stride):
    radii = np.full(len(points), radius)
    mask = disc_mask(points, radii, (40, 75), stride=stride)
    np.testing.assert_array_equal(disc_mask(points[:, ::-1], radii, (75, 40), stride=stride), mask.T)


@given(POINTS, st.sampled_from([0.0, 0.5, 2.5, 7.0, 61.0]), st.sampled_from([1, 2, 8]), st.booleans())
def test_a_cell_is_covered_exactly_when_its_centre_lies_in_a_disc_or_a_head_in_it(points, radius, stride, halves):
    points = np.round(points * 2) / 2 if halves else points  # centres of cells that lie on a circle exactly
    radii = radius + np.arange(len(points)) % 3
    size = (41, 30)
    rows, columns = np.ogrid[: -(-size[0] // stride), : -(-size[1] // stride)]
    expected = np.zeros((rows.size, columns.size), np.bool_)
    for (x, y), r in zip(points.astype(np.float64), radii, strict=True):
        expected |= ((rows + 0.5) * stride - y) ** 2 + ((columns + 0.5) * stride - x) ** 2 <= r * r
        if 0 <= y < size[0] and 0 <= x < size[1]:
            expected[int(y) // stride, int(x) // stride] = True
    np.testing.assert_array_equal(disc_mask(points, radii, size, stride=stride), expected)


def test_thousands_of_discs_cover_what_each_covers():
    points = np.random.default_rng(0).uniform(0, (75, 40), (9000, 2)).astype(np.float32)
    radii = np.linspace(0, 0.7, len(points))
    parts = [disc_mask(points[i::3], radii[i::3], (40, 75)) for i in range(3)]
    np.testing.assert_array_equal(disc_mask(points, radii, (40, 75)), parts[0] | parts[1] | parts[2])
