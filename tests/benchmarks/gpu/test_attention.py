import pytest
import torch
from torch import Tensor

from benchmarks.gpu.attention import ways, whole, widened_attention
from benchmarks.gpu.setting import miniature
from sam_mprompt.models.sam_attention import biased_attention


def inputs(h: int, w: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, h * w, 64)] * 3 + [(2, h, w, h), (2, h, w, w)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("size", [(4, 4), (3, 7)])
@pytest.mark.parametrize("way", [whole, widened_attention])
def test_every_way_to_attend_gives_the_same_attention_and_gradients(way, size):
    results = []
    for attend in (biased_attention, way):
        given = inputs(*size)
        out = attend(*given)
        results.append((out, torch.autograd.grad(out.square().sum(), given)))
    torch.testing.assert_close(*results)


def test_a_cpu_compares_the_ways_that_it_has():
    assert list(ways(miniature())) == ["pieces", "whole mask", "widened"]
