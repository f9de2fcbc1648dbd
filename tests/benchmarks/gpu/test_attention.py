import torch
from torch import Tensor

from benchmarks.gpu.attention import ways
from benchmarks.gpu.setting import miniature


def inputs(h: int, w: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, h * w, 64)] * 3 + [(2, h, w, h), (2, h, w, w)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def test_every_way_to_attend_gives_the_same_attention_and_gradients():
    found = ways(miniature())
    assert list(found) == ["pieces", "widened", "whole mask"]
    results = []
    for attend in found.values():
        given = inputs(3, 7)
        out = attend(*given)
        results.append((out, torch.autograd.grad(out.square().sum(), given)))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])
