import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.errors import UsageError
from sam_mprompt.evaluation.metrics import box_iou, crowd_level, mask_iou, metrics

counts = st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 10_000)), min_size=1, max_size=20)


def test_metrics_are_those_computed_by_hand():
    found = metrics([12, 90, 3], [10, 100, 0])
    assert found.images == 3
    assert found.mae == pytest.approx((2 + 10 + 3) / 3)
    assert found.rmse == pytest.approx(np.sqrt((4 + 100 + 9) / 3))
    assert found.nae == pytest.approx((0.2 + 0.1) / 2)


@given(counts)
def test_rmse_is_never_below_mae_and_perfect_counts_have_no_error(pairs):
    predicted, actual = zip(*pairs, strict=True)
    found = metrics(predicted, actual)
    assert found.rmse >= found.mae - 1e-9
    assert metrics(actual, actual).mae == metrics(actual, actual).rmse == 0


def test_without_any_head_there_is_no_nae():
    assert metrics([1.0, 0.0], [0, 0]).nae is None


def test_metrics_refuse_nothing_and_different_lengths():
    for predicted, actual in (([], []), ([1.0], [1, 2])):
        with pytest.raises(UsageError, match="as many"):
            metrics(predicted, actual)


@pytest.mark.parametrize(
    ("heads", "level"),
    [(0, "S0"), (1, "S1"), (100, "S1"), (101, "S2"), (500, "S2"), (501, "S3"), (5000, "S3"), (5001, "S4")],
)
def test_crowd_levels_have_the_ends_of_nwpu(heads, level):
    assert crowd_level(heads) == level


def test_mask_iou_is_that_computed_by_hand():
    mask, target = np.zeros((2, 4, 6), bool)
    mask[1:3, 1:3] = True
    target[1:3, 2:4] = True
    assert mask_iou(mask, target) == pytest.approx(2 / 6)
    assert mask_iou(mask, mask) == 1
    assert mask_iou(mask, ~mask) == 0
    assert mask_iou(mask & ~mask, mask & ~mask) == 1  # nothing to find, and nothing found


def test_boxes_are_compared_on_the_cells_of_the_mask():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 1:3] = True
    boxes = np.array([[16, 8, 32, 24]], np.float32)  # cells 2 and 3 of rows 1 and 2, of which column 2 is masked
    assert box_iou(mask, boxes, (8.0, 8.0)) == pytest.approx(2 / 6)
    assert box_iou(mask, boxes * 10, (80.0, 80.0)) == pytest.approx(2 / 6)
    assert box_iou(mask, np.array([[8, 8, 24, 24]], np.float32), (8.0, 8.0)) == 1
    assert box_iou(mask & ~mask, np.zeros((0, 4), np.float32), (8.0, 8.0)) == 1


def test_counts_of_a_narrow_whole_type_are_compared_without_overflow():
    found = metrics(np.array([100, 200], np.uint8), np.array([200, 100], np.uint8))
    assert (found.mae, found.rmse) == (100, 100)
    assert found.nae == pytest.approx(0.75)


def test_an_image_with_one_head_counts_for_the_relative_error():
    assert metrics([2.0, 5.0], [1, 0]).nae == 1.0
