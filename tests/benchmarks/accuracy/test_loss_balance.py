import pytest
import torch

from benchmarks.accuracy.loss_balance import gradients
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.trained import load_run


def test_every_term_is_compared_with_the_density_which_is_itself(trained_run, crowd_folder):
    found = gradients(load_run(RunFolder(trained_run), device=torch.device("cpu")), crowd_folder)
    assert found.keys() == {"density", "segmentation", "context"}
    assert found["density"] == pytest.approx((1.0, 1.0))
    assert all(norm > 0 and -1 <= cosine <= 1 + 1e-6 for norm, cosine in found.values())
