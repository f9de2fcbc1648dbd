import numpy as np
import pytest

from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import UsageError
from sam_mprompt.planning.profile import profile, profile_of, spacing


def sample(points, boxes=None, size=(100, 200)):
    return Sample("a.png", size, np.asarray(points, np.float32).reshape(-1, 2), boxes)


def test_spacing_is_the_median_distance_to_the_nearest_other_head():
    assert spacing(np.array([[0, 0], [3, 0], [3, 4], [50, 50]], np.float32)) == pytest.approx(3.5)


def test_a_head_that_was_marked_twice_is_no_neighbour_of_itself():
    assert spacing(np.array([[0, 0], [0, 0], [6, 0]], np.float32)) == 6


@pytest.mark.parametrize("points", [[], [[1, 1]], [[1, 1], [1, 1]]])
def test_one_place_has_no_spacing(points):
    assert spacing(np.asarray(points, np.float32).reshape(-1, 2)) is None


def test_a_crowded_image_weighs_no_more_than_a_sparse_one_in_the_spacing():
    crowd = [(x, y) for x in range(0, 100, 2) for y in range(0, 100, 2)]
    seen = profile([sample([(0, 0), (40, 0)]), sample([(0, 0), (30, 0)]), sample(crowd)], "points", val_images=0)
    assert seen.spacing == 30


def test_a_profile_tells_sizes_counts_and_boxes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 40, 10]], np.float32)
    seen = profile([sample([(1, 1)], boxes), sample([], size=(50, 400))], "points", val_images=7)
    assert (seen.smallest_side, seen.largest_side, seen.short_side, seen.long_side) == (50, 400, 75, 300)
    assert (seen.heads, seen.mean_heads, seen.spacing) == ((0, 0, 1), 0.5, None)
    assert seen.head_side == 15
    assert seen.heads_per_megapixel == pytest.approx(25)


def test_a_profile_reads_every_training_image_and_no_test_image(photos):
    seen = profile_of(photos)
    assert (seen.format, seen.images, seen.val_images, seen.spacing) == ("points", 6, 0, 8)
    (photos / "p7.txt").write_text("not a number\n")
    assert profile_of(photos) == seen


def test_of_a_val_split_of_ones_own_only_its_size_is_noticed(photos):
    (photos / "train.txt").write_text("p0.png\np1.png\n")
    (photos / "val.txt").write_text("p2.png\n")
    assert (profile_of(photos).val_images, profile_of(photos).images) == (1, 2)


def test_one_image_is_too_few(photos):
    (photos / "train.txt").write_text("p0.png\n")
    with pytest.raises(UsageError, match="at least 2 annotated training images"):
        profile_of(photos)
