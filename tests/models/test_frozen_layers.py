"""Frozen layers give what plain ones give, with the gradients for their input, and keep less."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sam_mprompt import products
from sam_mprompt.models import frozen_layers
from sam_mprompt.models.frozen_layers import linear, mlp


@pytest.fixture(params=[False, True], ids=["PyTorch's products", "oneDNN's"], autouse=True)
def onednn(request, monkeypatch):
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch was built without oneDNN")
    for module in (products, frozen_layers):
        monkeypatch.setattr(module, "onednn_is_faster", lambda: request.param)
    return request.param


def layers(*widths, frozen=True):
    torch.manual_seed(0)
    return [nn.Linear(*pair).requires_grad_(not frozen) for pair in itertools.pairwise(widths)]


def kept(function):
    """What is kept for the backward pass."""
    found = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: found.append(tensor) or tensor, lambda tensor: tensor):
        out = function()
    return out, found


@pytest.mark.parametrize("shape", [(2, 2, 2, 6), (8, 6), (6,)])
@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_an_mlp_is_two_layers_around_a_gelu_in_pieces_of_any_number(rows, shape, monkeypatch):
    monkeypatch.setattr(frozen_layers, "ROWS", rows)
    first, second = layers(6, 24, 5)
    x = torch.randn(shape).requires_grad_()
    found, expected = mlp(first, second, x), second(F.gelu(first(x)))
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        assert torch.equal(mlp(first, second, x), found)
    gradients = [torch.autograd.grad(out.square().sum(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_slopes_of_a_gelu_are_kept_to_two_in_100000_in_half_of_what_autograd_keeps():
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    for layer in (first, second):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        layer.requires_grad_(False)
    x = torch.linspace(-6, 6, 5001)[:, None].requires_grad_()
    out, slopes = kept(lambda: mlp(first, second, x))
    [gradient] = torch.autograd.grad(out.sum(), x)
    [exact] = torch.autograd.grad(F.gelu(x).sum(), x)
    assert (gradient - exact).abs().max() <= 2e-5
    assert [(tensor.shape, tensor.dtype) for tensor in slopes[2:]] == [((5001, 1), torch.int16)]
    _, usual = kept(lambda: second(F.gelu(first(x))))
    assert 2 * slopes[2].nbytes == max(tensor.nbytes for tensor in usual)
    assert [tensor.data_ptr() for tensor in slopes[:2]] == [layer.weight.data_ptr() for layer in (first, second)]


def test_of_a_frozen_layer_nothing_is_kept_but_its_weight(onednn):
    [layer] = layers(6, 9)
    x = torch.randn(2, 3, 6).requires_grad_()
    found, saved = kept(lambda: linear(layer, x))
    torch.testing.assert_close(found, layer(x))
    gradients = [torch.autograd.grad(out.square().sum(), x)[0] for out in (found, layer(x))]
    torch.testing.assert_close(*gradients)
    assert [tensor.data_ptr() for tensor in saved] == [layer.weight.data_ptr()]
    assert (type(found.grad_fn).__name__ == "_FrozenLinearBackward") == onednn


def unusual(kind):
    first, second = layers(6, 9, 5, frozen=kind != "trained")
    if kind == "biased alone":
        second.bias.requires_grad_()
    if kind == "listened to":
        first.register_forward_hook(lambda module, given, out: out + 1)
    if kind == "double":
        first.double()
        second.double()
    if kind == "without bias":
        first = nn.Linear(6, 9, bias=False).requires_grad_(False)
    if kind == "wrapped":
        first = nn.Sequential(first)
    return first, second


@pytest.mark.parametrize("kind", ["trained", "biased alone", "listened to", "double", "without bias", "wrapped"])
def test_layers_that_train_or_are_not_plain_are_called_themselves(kind):
    first, second = unusual(kind)
    x = torch.randn(4, 6, dtype=first.weight.dtype if kind == "double" else torch.float32).requires_grad_()
    found, expected = mlp(first, second, x), second(F.gelu(first(x)))
    assert torch.equal(found, expected)
    assert type(found.grad_fn) is type(expected.grad_fn)
    if kind != "biased alone":
        assert torch.equal(linear(first, x), first(x))
        assert type(linear(first, x).grad_fn) is type(first(x).grad_fn)


def test_layers_that_would_train_go_through_the_same_where_no_gradient_is_wanted():
    first, second = layers(6, 9, 5, frozen=False)
    x = torch.randn(4, 6)
    with torch.no_grad():
        found = mlp(first, second, x)
        found_first = linear(first, x)
    first.requires_grad_(False)
    second.requires_grad_(False)
    assert torch.equal(found, mlp(first, second, x))
    assert torch.equal(found_first, linear(first, x))


def test_under_half_precision_layers_do_as_pytorch_says():
    first, second = layers(6, 9, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert mlp(first, second, torch.randn(4, 6)).dtype == torch.bfloat16
        assert linear(first, torch.randn(4, 6)).dtype == torch.bfloat16
