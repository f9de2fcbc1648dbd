import math

import pytest
import torch
from torch import nn

from sam_mprompt.training.muon import Muon


def optimizer(matrix, other, **options):
    return Muon([{"params": [matrix], "orthogonal": True}, {"params": [other]}], **options)


def parameters():
    torch.manual_seed(0)
    matrix, other = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(5))
    matrix.grad, other.grad = torch.randn(6, 4) * 1e-4, torch.randn(5) * 1e-4
    return matrix, other


def test_a_matrix_moves_as_far_in_every_direction_whatever_its_gradients_size():
    matrix, other = parameters()
    before = matrix.detach().clone()
    optimizer(matrix, other, lr=0.1, weight_decay=0.0).step()
    moved = torch.linalg.svdvals(before - matrix.detach()) / (0.1 * 0.2 * math.sqrt(6))
    assert len(moved) == 4
    assert (moved > 0.6).all()  # the five quintic iterations bring singular values near 1, not to it
    assert (moved < 1.3).all()


def test_a_kernel_moves_as_the_matrix_of_its_output_channels():
    matrix, other = parameters()
    kernel = nn.Parameter(matrix.detach().clone().view(6, 1, 2, 2))
    kernel.grad = matrix.grad.clone().view(6, 1, 2, 2)
    optimizer(matrix, other, lr=0.1).step()
    optimizer(kernel, nn.Parameter(torch.zeros(1)), lr=0.1).step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


def test_what_is_no_matrix_takes_adamws_step():
    matrix, other = parameters()
    twin = nn.Parameter(other.detach().clone())
    twin.grad = other.grad.clone()
    optimizer(matrix, other, lr=0.1).step()
    torch.optim.AdamW([twin], lr=0.1).step()
    assert torch.equal(other, twin)


def test_weights_decay_and_momentum_outlasts_a_step():
    matrix, other = parameters()
    decayed = nn.Parameter(matrix.detach().clone())
    decayed.grad = matrix.grad.clone()
    plain, with_decay = (
        optimizer(matrix, other, lr=0.1, weight_decay=0.0),
        optimizer(decayed, nn.Parameter(torch.zeros(1)), lr=0.1, weight_decay=0.5),
    )
    start = matrix.detach().clone()
    plain.step()
    with_decay.step()
    torch.testing.assert_close(matrix - decayed, 0.05 * start)
    place = matrix.detach().clone()
    matrix.grad = torch.zeros_like(matrix)
    plain.step()
    assert (place - matrix).norm() > 0.01


def test_a_matrix_without_a_gradient_stays():
    matrix, other = parameters()
    matrix.grad = None
    before = matrix.detach().clone()
    optimizer(matrix, other, lr=0.1).step()
    assert torch.equal(matrix, before)


def test_its_state_can_be_saved_and_loaded():
    matrix, other = parameters()
    first = optimizer(matrix, other, lr=0.1)
    first.step()
    second = optimizer(nn.Parameter(torch.zeros(6, 4)), nn.Parameter(torch.zeros(5)), lr=0.1)
    second.load_state_dict(first.state_dict())
    momenta = [state["momentum"] for o in (first, second) for state in o.state.values() if "momentum" in state]
    assert len(momenta) == 2
    assert torch.equal(*momenta)
    assert float(momenta[0].norm()) == pytest.approx(0.05 * 1e-4 * 24**0.5, rel=0.5)
