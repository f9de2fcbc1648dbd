import io

import numpy as np
from rich.console import Console
from street import make_street, result, sample

from sam_mprompt.cli.evaluation_tables import print_evaluation
from sam_mprompt.evaluation.evaluate import Evaluation, ImageResult, evaluate


def printed(evaluation):
    console = Console(file=io.StringIO(), width=120)
    print_evaluation(evaluation, console)
    return console.file.getvalue()


def test_the_printed_table_names_totals_groups_worst_and_failures(tmp_path):
    samples, predict = make_street(tmp_path)
    text = printed(Evaluation(evaluate(predict, samples).rows, ((tmp_path / "2.jpg", "No image [file] at 2.jpg"),)))
    lines = [line.split() for line in text.splitlines()]
    assert ["all", "4", "14.50", "25.12", "0.152"] in lines
    assert ["level", "S2", "(101-500", "heads)", "1", "50.00", "50.00", "0.250"] in lines
    assert ["level", "S0", "(0", "heads)", "1", "2.00", "2.00", "-"] in lines
    assert ["0040.png", "200", "150.0", "-50.0"] in lines
    assert "No image [file] at 2.jpg" in text


def test_an_unannotated_split_says_that_it_has_no_metrics(tmp_path):
    assert "1 images counted; none is annotated" in printed(
        Evaluation((ImageResult(sample(tmp_path / "1.jpg", None), 1.0),))
    )


def test_the_mask_iou_is_printed_where_there_is_one(tmp_path):
    boxed = sample(tmp_path / "half.jpg", 1, boxes=np.array([[0, 0, 48, 64]], np.float32))
    everywhere = np.ones((8, 12), np.float32)
    assert "Mask IoU with head boxes: 0.500" in printed(evaluate(lambda _: result(1, mask_logits=everywhere), [boxed]))
    assert "Mask IoU" not in printed(evaluate(lambda _: result(1), [boxed]))
