import pytest
import torch
from torch import nn

from sam_mprompt.tuning.prompt import PromptModule, prompt


def test_a_fresh_module_adds_nothing_and_learns_from_the_first_step():
    module = PromptModule(5, 2)
    y = torch.randn(2, 4, 5)
    assert torch.equal(module(y), torch.zeros(2, 4, 5))
    (module(y) - 1).square().sum().backward()
    assert module.up.bias.grad.abs().min() > 0
    assert not module.down.weight.grad.any()


def test_it_is_a_bottleneck_with_a_gelu():
    module = PromptModule(5, 2)
    nn.init.normal_(module.up.weight)
    y = torch.randn(3, 5)
    hidden = nn.functional.gelu(y @ module.down.weight.T + module.down.bias)
    torch.testing.assert_close(module(y), hidden @ module.up.weight.T + module.up.bias)
    assert torch.equal(prompt(y, module.down, module.up), module(y))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 2, 3, 5)])
def test_it_gives_the_same_and_learns_the_same_where_gradients_are_wanted(shape):
    module = PromptModule(5, 2)
    nn.init.normal_(module.up.weight)
    y = torch.randn(shape, requires_grad=True)
    found = module(y)
    with torch.no_grad():
        torch.testing.assert_close(module(y), found)
    expected = nn.functional.gelu(y @ module.down.weight.T + module.down.bias) @ module.up.weight.T + module.up.bias
    learnt = [y, *module.parameters()]
    torch.testing.assert_close(*(torch.autograd.grad(out.square().sum(), learnt) for out in (found, expected)))


def test_who_listens_to_a_layer_hears_it_with_and_without_gradients():
    module = PromptModule(5, 2)
    module.up.register_forward_hook(lambda _module, _given, out: out + 1)
    y = torch.randn(3, 5)
    assert (module(y) == 1).all()
    with torch.no_grad():
        assert (module(y) == 1).all()


@pytest.mark.parametrize(("features", "bottleneck"), [(5, 2), (768, 192)])
def test_its_size_is_what_the_documentation_says(features, bottleneck):
    size = sum(parameter.numel() for parameter in PromptModule(features, bottleneck).parameters())
    assert size == 2 * features * bottleneck + bottleneck + features
