"""Products on a CPU are PyTorch's, by whichever library."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sam_mprompt import products
from sam_mprompt.products import is_plain, laid_out, onednn_is_faster, product, product_of_gelu

LIBRARIES = [False, pytest.param(True, marks=pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no"))]


@pytest.fixture(params=LIBRARIES, ids=["PyTorch's", "oneDNN's"])
def library(request, monkeypatch):
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param)
    return request.param


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("lead", [(6,), (1, 3, 5), (0, 2)])
def test_a_product_is_that_of_a_linear_layer(lead):
    x, weight, bias = torch.randn(*lead, 7), torch.randn(11, 7), torch.randn(11)
    torch.testing.assert_close(product(x, weight, bias), F.linear(x, weight, bias))
    torch.testing.assert_close(product(x, weight), F.linear(x, weight))
    torch.testing.assert_close(product(x, torch.randn(7, 11).T.copy_(weight)), F.linear(x, weight))


@pytest.mark.usefixtures("library")
def test_a_weight_that_was_laid_out_serves_any_number_of_rows():
    weight = torch.randn(16, 32)
    for layout in (weight, torch.randn(32, 16).T.copy_(weight)):
        there = laid_out(layout, 4)
        for rows in (4, 3, 9):
            x = torch.randn(rows, 32)
            torch.testing.assert_close(product(x, there), x @ weight.T)


def test_the_library_that_was_asked_for_does_it(library, monkeypatch):
    called = []
    linear = F.linear
    monkeypatch.setattr(F, "linear", lambda *given: called.append(given) or linear(*given))
    product(torch.randn(2, 7), torch.randn(11, 7))
    assert bool(called) != library


@pytest.mark.usefixtures("library")
def test_a_product_of_a_gelu_has_the_gradients_of_both_and_keeps_one_tensor():
    given = [tensor.requires_grad_() for tensor in (torch.randn(2, 3, 7), torch.randn(11, 7), torch.randn(11))]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        found = product_of_gelu(*given)
    expected = F.linear(F.gelu(given[0]), *given[1:])
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out.square().sum(), given) for out in (found, expected)]
    torch.testing.assert_close(*gradients)
    assert [tensor.data_ptr() for tensor in kept] == [tensor.data_ptr() for tensor in given[:2]]


@pytest.mark.parametrize("asked", range(3))
def test_a_product_of_a_gelu_makes_the_gradients_that_are_asked_for(asked):
    given = [torch.randn(3, 7), torch.randn(11, 7), torch.randn(11)]
    given[asked].requires_grad_()
    outs = product_of_gelu(*given), F.linear(F.gelu(given[0]), *given[1:])
    torch.testing.assert_close(*(torch.autograd.grad(out.square().sum(), given[asked]) for out in outs))


def test_a_layer_is_plain_where_nothing_is_compiled_traced_or_cast_and_nobody_listens(monkeypatch):
    layer, x = nn.Linear(3, 2), torch.randn(2, 3)
    assert is_plain(layer, x)
    assert not is_plain(layer, x.double())
    assert not is_plain(layer, x.to("meta"))
    assert not is_plain(layer, x[:0])
    assert not is_plain(nn.Linear(3, 2).double(), x)
    assert not is_plain(nn.Linear(3, 2, bias=False), x)
    assert not is_plain(nn.Sequential(layer), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_plain(layer, x)
    for module, name in ((torch.compiler, "is_compiling"), (torch.jit, "is_tracing")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, lambda: True)
            assert not is_plain(layer, x)


@pytest.mark.parametrize(
    "listen",
    [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)
def test_a_layer_that_somebody_listens_to_is_not_plain(listen):
    layer = nn.Linear(3, 2)
    handle = getattr(layer, listen)(lambda *_: None)
    assert not is_plain(layer, torch.randn(2, 3))
    handle.remove()
    assert is_plain(layer, torch.randn(2, 3))


@pytest.mark.parametrize(
    ("processor", "faster"), [("AMD EPYC 9R14", True), ("Intel(R) Xeon(R) Platinum 8488C", False), ("arm", False)]
)
def test_onednn_multiplies_on_the_processors_where_it_was_measured_to_be_faster(processor, faster, monkeypatch):
    monkeypatch.setattr(products, "processor", lambda: processor)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert onednn_is_faster.__wrapped__() == faster
    for backend in (torch.backends.mkl, torch.backends.mkldnn):
        with monkeypatch.context() as patched:
            patched.setattr(backend, "is_available", lambda: False)
            assert not onednn_is_faster.__wrapped__()
