import io
import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from sam_mprompt.counting.result import CountResult
from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.evaluation.evaluate import (
    Evaluation,
    ImageResult,
    crowd_level,
    evaluate,
    mask_iou,
    metrics,
    print_evaluation,
    write_locations,
    write_submission,
    write_worst,
)

counts = st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 10_000)), min_size=1, max_size=20)


def sample(name, heads, *, size=(64, 96), boxes=None, **attributes):
    points = None if heads is None else np.random.default_rng(0).uniform(0, 64, (heads, 2)).astype(np.float32)
    return Sample(name, size, points, boxes, attributes)


def result(count, *, size=(64, 96), mask_logits=None):
    density = np.full((8, 12), count / 96, np.float32)
    return CountResult(density, mask_logits, size, (8.0, 8.0))


@pytest.fixture
def street(tmp_path):
    """Five images with 0, 10, 200, 600 and an unknown number of heads; predictions by name."""
    heads = {"0007": 0, "0012": 10, "0040": 200, "0041": 600, "0050": None}
    attributes = {"0007": (0, "park"), "0012": (2, "park"), "0040": (2, "square"), "0041": (1, "square")}
    samples = []
    for name, actual in heads.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.full((64, 96, 3), 90, np.uint8)).save(path)
        luminance, place = attributes.get(name, (1, "park"))
        samples.append(sample(path, actual, luminance=luminance, place=place, exposure=0.25))
    predicted = {"0007": 2, "0012": 12, "0040": 150, "0041": 604, "0050": 33.33333}
    return samples, lambda path: result(predicted[path.stem])


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
    assert "no metrics" in printed(evaluation)


def test_the_dictionary_is_valid_json_and_complete(street):
    samples, predict = street
    read = json.loads(json.dumps(evaluate(predict, samples).as_dict(), allow_nan=False))
    assert read["metrics"]["images"] == 4
    assert read["groups"]["level"]["S0"]["nae"] is None
    assert read["rows"][1] == {"image": str(samples[1].image), "actual": 10, "predicted": 12.0, "error": 2.0}
    assert read["failed"] == []
    assert read["mask_iou"] is None


def test_a_submission_is_a_line_per_image_with_four_decimals(street, tmp_path):
    samples, predict = street
    write_submission(tmp_path / "out" / "test.txt", evaluate(predict, samples[3:]))
    assert (tmp_path / "out" / "test.txt").read_text() == "0041 604.0000\n0050 33.3333\n"


def test_a_submission_with_a_hole_is_not_written(tmp_path):
    evaluation = Evaluation((ImageResult(sample(tmp_path / "1.jpg", None), 1.0),), ((tmp_path / "2.jpg", "truncated"),))
    with pytest.raises(RunError, match="every image"):
        write_submission(tmp_path / "test.txt", evaluation)
    assert not (tmp_path / "test.txt").exists()


def test_a_localisation_submission_is_a_line_per_image_with_number_and_whole_pixels(tmp_path):
    row = ImageResult(sample(tmp_path / "0041.jpg", None), 2.2, points=np.array([[3.9, 4.0], [10.2, 7.7]], np.float32))
    empty = ImageResult(sample(tmp_path / "0042.jpg", None), 0.1, points=np.zeros((0, 2), np.float32))
    write_locations(tmp_path / "points.txt", Evaluation((row, empty)))
    assert (tmp_path / "points.txt").read_text() == "0041 2 3 4 10 7\n0042 0\n"
    with pytest.raises(UsageError, match="locate=True"):
        write_locations(tmp_path / "none.txt", Evaluation((ImageResult(row.sample, 2.2),)))


def test_the_worst_images_come_first(street):
    samples, predict = street
    worst = evaluate(predict, samples).worst(2)
    assert [row.image.stem for row in worst] == ["0040", "0041"]


def printed(evaluation):
    console = Console(file=io.StringIO(), width=120)
    print_evaluation(evaluation, console)
    return console.file.getvalue()


def test_the_printed_table_names_totals_groups_worst_and_failures(street, tmp_path):
    samples, predict = street
    text = printed(Evaluation(evaluate(predict, samples).rows, ((tmp_path / "2.jpg", "No image [file] at 2.jpg"),)))
    lines = [line.split() for line in text.splitlines()]
    assert ["all", "4", "14.50", "25.12", "0.152"] in lines
    assert ["level", "S2", "(101-500", "heads)", "1", "50.00", "50.00", "0.250"] in lines
    assert ["level", "S0", "(0", "heads)", "1", "2.00", "2.00", "-"] in lines
    assert ["0040.png", "200", "150.0", "-50.0"] in lines
    assert "No image [file] at 2.jpg" in text


def test_pictures_of_the_worst_images_show_actual_and_predicted_side_by_side(street, tmp_path):
    samples, predict = street
    paths = write_worst(tmp_path / "worst", evaluate(predict, samples), predict, 2)
    assert [path.name for path in paths] == [
        "01_0040_actual-200_predicted-150.jpg",
        "02_0041_actual-600_predicted-604.jpg",
    ]
    width, height = Image.open(paths[0]).size
    assert width > 2 * 96
    assert height > 64


def test_mask_iou_is_that_computed_by_hand():
    logits = np.full((4, 6), -1, np.float32)
    logits[1:3, 1:3] = 2
    boxes = np.array([[16, 8, 32, 24]], np.float32)  # cells 2 and 3 of rows 1 and 2, of which column 2 is masked
    assert mask_iou(logits, boxes, (8.0, 8.0)) == pytest.approx(2 / 6)
    assert mask_iou(logits, boxes * 10, (80.0, 80.0)) == pytest.approx(2 / 6)
    assert mask_iou(logits, np.array([[8, 8, 24, 24]], np.float32), (8.0, 8.0)) == 1
    assert mask_iou(-np.abs(logits), np.zeros((0, 4), np.float32), (8.0, 8.0)) == 1


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
    assert "Mask IoU with head boxes: 0.750" in printed(evaluation)
