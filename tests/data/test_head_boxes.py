import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.data.head_boxes import nominal_boxes, paired_boxes

SIZE = (300, 400)
places = st.lists(st.tuples(st.floats(0, 399.9), st.floats(0, 299.9)), max_size=12)


@given(points=places)
@settings(max_examples=60, deadline=None)
def test_every_head_is_the_middle_of_its_square_which_lies_in_the_image(points):
    points = np.reshape(np.array(points, np.float64), (-1, 2))
    boxes = nominal_boxes(points, SIZE)
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, points, atol=1e-9)
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes >= -0.5).all()
    assert (boxes <= np.array([400.5, 300.5, 400.5, 300.5])).all()


def test_a_square_grows_with_the_distance_to_the_next_heads_within_limits():
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)

    def side(spacing: float) -> float:
        boxes = nominal_boxes(grid * spacing + 80, SIZE)
        return float((boxes[12, 2:] - boxes[12, :2]).mean())

    assert side(4) == 8
    assert side(30) == 15
    assert nominal_boxes(np.array([[200, 150]]), SIZE).tolist() == [[190, 140, 210, 160]]


def test_boxes_belong_to_the_heads_in_them_and_are_moved_to_have_them_in_the_middle():
    points = np.array([[50.0, 60.0], [100.0, 90.0]])
    boxes = np.array([[46, 50, 56, 66], [90, 80, 110, 100]], np.float32)
    assert paired_boxes(points, boxes, SIZE).tolist() == [[45, 52, 55, 68], [90, 80, 110, 100]]
    assert paired_boxes(points, boxes[:1], SIZE) is None
    assert paired_boxes(points, boxes[::-1], SIZE) is None
    assert paired_boxes(points, None, SIZE) is None
