import pytest
import torch

from sam_mprompt.losses import Targets
from sam_mprompt.losses.density import PerSquare, heads_of


def test_a_square_holds_as_many_crops_as_their_areas_say():
    square = PerSquare(96.0, 8)
    assert square.factor(torch.zeros(1, 1, 3, 4)) == 144 / 12
    assert square.of(torch.full((2, 1, 3, 4), 0.5)).item() == 72


def test_a_loss_of_points_says_that_a_batch_has_none():
    cells = torch.zeros(1, 1, 2, 2)
    with pytest.raises(AssertionError, match=r"^a recipe with a loss of points makes batches"):
        heads_of(Targets(cells, cells > 0, cells > 0))
