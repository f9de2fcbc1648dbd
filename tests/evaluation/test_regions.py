from pathlib import Path

import numpy as np
import pytest

from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.counting.region import Region
from sam_mprompt.counting.regions import Regions
from sam_mprompt.counting.result import CountResult
from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import UsageError
from sam_mprompt.evaluation.evaluate import evaluate
from sam_mprompt.evaluation.regions import EvaluatedRegions

SIZE = (48, 64)
LEFT = Region.around("left", [(0, 0), (32, 0), (32, 48), (0, 48)])
ZONE = Region.around("", [(32, 0), (64, 0), (64, 24), (32, 24)], ignore=True)
HEADS = {"a.png": [(5, 5), (10, 40), (40, 5), (40, 40)], "b.png": [(50, 10)]}


def sample(name, points, boxes=None):
    return Sample(Path(name), SIZE, None if points is None else np.array(points, np.float32), boxes)


def predict(image):
    """Each annotated head counts half, and one stands at (60, 4)."""
    density = np.zeros((6, 8), np.float32)
    for x, y in HEADS.get(image.name, []):
        density[y // 8, x // 8] += 0.5
    density[0, 7] += 1
    return CountResult(
        density, np.ones((6, 8), np.float32), SIZE, (8.0, 8.0), image, Calibration.fit([1] * 40, [1] * 40)
    )


def test_what_is_ignored_is_in_neither_side_of_the_comparison():
    parts = EvaluatedRegions(Regions([LEFT, ZONE]))
    samples = parts.kept([sample(name, points) for name, points in HEADS.items()])
    evaluation = evaluate(parts.counted(predict), samples, locate=True)
    assert [(row.actual, row.predicted) for row in evaluation.rows] == [(3, 1.5), (0, 0)]
    assert evaluation.coverage is None  # no interval of a part
    left, elsewhere = parts.metrics(samples).values()
    assert (left.images, left.mae, left.nae) == (2, 0.5, 0.5)
    assert (elsewhere.images, elsewhere.mae, elsewhere.nae) == (2, 0.25, 0.5)


def test_boxes_and_masks_of_ignored_heads_are_left_out():
    boxes = np.array([(x - 2, y - 2, x + 2, y + 2) for x, y in HEADS["a.png"]], np.float32)
    parts = EvaluatedRegions(Regions([ZONE]))
    [paired], [unpaired] = (parts.kept([sample("a.png", HEADS["a.png"], b)]) for b in (boxes, boxes[1:]))
    np.testing.assert_array_equal(paired.boxes, boxes[[0, 1, 3]])
    np.testing.assert_array_equal(unpaired.boxes, boxes[[1, 3]])
    mask = parts.counted(predict)(Path("a.png")).mask_logits > 0
    assert (mask[:3, :4].all(), mask[:3, 4:].any(), mask[3:].all()) == (True, False, True)


def test_unannotated_images_and_those_that_regions_do_not_fit_are_in_no_metric_of_a_region():
    parts = EvaluatedRegions(Regions([LEFT, Region.around("c", [(90, 90), (99, 90), (99, 99)], image="b.png")]))
    samples = parts.kept([sample("a.png", HEADS["a.png"]), sample("b.png", HEADS["b.png"]), sample("n.png", None)])
    counted = parts.counted(predict)
    for image in ("a.png", "n.png"):
        counted(Path(image))
    with pytest.raises(UsageError, match="Region 'c' lies outside"):
        counted(Path("b.png"))
    assert {name: found.images for name, found in parts.metrics(samples).items()} == {"left": 1, "elsewhere": 1}


def test_without_ignore_zones_the_result_stays_as_it_is():
    found = predict(Path("a.png"))
    assert found.without_ignored([LEFT]) is found
    assert found.interval() is not None
    left = found.without_ignored([ZONE])
    assert left.interval() is None
    assert "ignore zones" in left.why_no_interval()


def test_without_regions_nothing_changes():
    parts, samples = EvaluatedRegions(Regions(())), [sample("a.png", HEADS["a.png"])]
    assert parts.kept(samples) == samples
    assert parts.counted(predict) is predict
    assert parts.metrics(samples) == {}
