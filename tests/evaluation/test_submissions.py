import numpy as np
import pytest
from street import sample

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.evaluation.evaluate import Evaluation, ImageResult, evaluate
from sam_mprompt.evaluation.submissions import write_locations, write_submission


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
