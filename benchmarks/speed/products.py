"""Products of SAM-base's frozen layers by oneDNN against PyTorch's own: python -m benchmarks.speed.products

Forward as `F.linear` has it, backward as its gradient for the tokens, for a crop of 448 pixels and an image of 1024;
then a whole MLP in pieces against two layers around a GELU.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.models.frozen_layers import mlp
from sam_mprompt.models.sam_config import CONFIGS
from sam_mprompt.models.sam_parts import MLPBlock
from sam_mprompt.products import onednn_is_faster, product

_NOTE = "oneDNN's products" if onednn_is_faster() else "PyTorch's products: the package takes oneDNN's on AMD alone"


@torch.no_grad()
def measure(features: int, grid: int, rounds: int = 9) -> list[Result]:
    """Measure the products of an encoder that is `features` wide, over a square grid of tokens."""
    block = MLPBlock(features, 4 * features)
    weight, bias = block.lin1.weight, block.lin1.bias
    x, grad = torch.randn(grid * grid, features), torch.randn(grid * grid, 4 * features)
    ways: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "product of a layer": (lambda: F.linear(x, weight, bias), lambda: product(x, weight, bias)),
        "its gradient for the tokens": (lambda: grad @ weight, lambda: product(grad, weight.T)),
        "MLP": (lambda: block.lin2(F.gelu(block.lin1(x))), lambda: mlp(block.lin1, block.lin2, x)),
    }
    results = []
    for what, (usual, ours) in ways.items():
        seconds = alternate({"usual": usual, "ours": ours}, rounds=rounds)
        ratio = Spread.of(seconds["usual"], seconds["ours"])
        results.append(Result(f"{what}, SAM-base, {grid} x {grid} tokens", "PyTorch's", ratio, note=_NOTE))
    return results


if __name__ == "__main__":
    write_row("products", [row for grid in (28, 64) for row in measure(CONFIGS["vit_b"].embed_dim, grid)])
