import json
import logging

import numpy as np
import pytest
from street import result, sample

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.evaluation.evaluate import Evaluation, ImageResult, evaluate


def test_every_annotated_image_is_in_the_metrics_and_every_image_in_the_rows(street):
    samples, predict = street
    evaluation = evaluate(predict, samples)
    assert [row.image for row in evaluation.rows] == [s.image for s in samples]
    assert evaluation.metrics.images == 4
    assert evaluation.metrics.mae == pytest.approx((2 + 2 + 50 + 4) / 4)
    assert evaluation.rows[-1].actual is None
    assert evaluation.rows[-1].error is None
    assert evaluation.rows[2].error == pytest.approx(-50)
    assert evaluation.failed == ()


def test_groups_are_crowd_levels_luminance_and_other_categories(street):
    samples, predict = street
    groups = evaluate(predict, samples).groups
    assert set(groups) == {"level", "luminance", "place"}
    assert list(groups["level"]) == ["S0", "S1", "S2", "S3"]
    assert groups["level"]["S0"].mae == pytest.approx(2)
    assert list(groups["luminance"]) == ["L0", "L1", "L2"]
    assert groups["luminance"]["L2"].mae == pytest.approx(26)
    assert groups["place"]["square"].images == 2


def test_a_number_of_its_own_for_each_image_is_no_category():
    rows = tuple(ImageResult(sample(f"{i}.jpg", 1, frame=i), 1.0) for i in range(50))
    assert set(Evaluation(rows).groups) == {"level"}


def test_unreadable_images_are_warned_of_and_listed(street, caplog):
    samples, predict = street

    def sometimes(path):
        if path.stem == "0040":
            raise UsageError("Cannot read image '0040.png': truncated.")
        return predict(path)

    with caplog.at_level(logging.WARNING):
        evaluation = evaluate(sometimes, samples)
    assert evaluation.failed == ((samples[2].image, "Cannot read image '0040.png': truncated."),)
    assert len(evaluation.rows) == 4
    assert evaluation.metrics.images == 3
    assert "0040.png" in caplog.text


def test_nothing_to_evaluate_is_refused_and_nothing_readable_is_a_failure(street):
    samples, _ = street

    def never(path):
        raise UsageError(f"Cannot read '{path.name}'.")

    with pytest.raises(UsageError, match="at least one image"):
        evaluate(never, [])
    with pytest.raises(RunError, match=r"None of the 5 images.*0007\.png"):
        evaluate(never, samples)


def test_progress_is_told_after_every_image(street):
    samples, predict = street
    told = []
    evaluate(predict, samples, lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_an_unannotated_split_has_rows_but_no_metrics(street):
    samples, predict = street
    evaluation = evaluate(predict, samples[-1:])
    assert evaluation.metrics is None
    assert evaluation.groups == {}
    assert evaluation.worst(3) == []


def test_the_dictionary_is_valid_json_and_complete(street):
    samples, predict = street
    read = json.loads(json.dumps(evaluate(predict, samples).as_dict(), allow_nan=False))
    assert read["metrics"]["images"] == 4
    assert read["groups"]["level"]["S0"]["nae"] is None
    assert read["rows"][1] == {"image": str(samples[1].image), "actual": 10, "predicted": 12.0, "error": 2.0}
    assert read["failed"] == []
    assert read["mask_iou"] is None


def test_the_worst_images_come_first(street):
    samples, predict = street
    worst = evaluate(predict, samples).worst(2)
    assert [row.image.stem for row in worst] == ["0040", "0041"]


def test_mask_iou_is_averaged_over_the_images_that_have_mask_and_boxes(tmp_path):
    everywhere = np.ones((8, 12), np.float32)
    left_half = np.array([[0, 0, 48, 64]], np.float32)
    samples = [
        sample(tmp_path / "half.jpg", 1, boxes=left_half),
        sample(tmp_path / "whole.jpg", 1, boxes=left_half * np.float32([1, 1, 2, 1])),
        sample(tmp_path / "none.jpg", 1, boxes=np.zeros((0, 4), np.float32)),
        sample(tmp_path / "points.jpg", 1),
    ]
    evaluation = evaluate(lambda path: result(1, mask_logits=everywhere), samples)
    assert evaluation.mask_iou == pytest.approx(0.75)
    assert evaluate(lambda path: result(1), samples).mask_iou is None
