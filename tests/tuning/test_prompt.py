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


@pytest.mark.parametrize(("features", "bottleneck"), [(5, 2), (768, 192)])
def test_its_size_is_what_the_documentation_says(features, bottleneck):
    size = sum(parameter.numel() for parameter in PromptModule(features, bottleneck).parameters())
    assert size == 2 * features * bottleneck + bottleneck + features
