"""The largest batch that trains in 8, 16 and 24 GiB: python -m benchmarks.memory writes benchmarks/memory.md

SAM-base with prompt modules, both heads and AdamW's state, float32. Each figure is the peak of a process that takes two
steps, above what it had before there was a model; batches of one and two are measured, larger ones follow from them.
"""

from pathlib import Path

import torch

from benchmarks.pairs import in_fresh_process, peak_bytes, this_machine
from sam_mprompt.models.acceleration import enable_gradient_checkpointing
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

_CROPS = (448, 672, 896, 1024)
_BUDGETS = (8, 16, 24)
_HEAD = """# Memory of training

Written by `python -m benchmarks.memory`; do not edit. SAM-base with prompt modules, both heads and AdamW's state,
float32, measured on a CPU ({machine}): what a process holds at its peak above what it held before there was a model.
Batches of one and two were measured; how many fit follows from them in a straight line. Not measured: a GPU, whose
kernels and allocator need more or less (`python -m benchmarks.gpu`), and bfloat16, which needs less.

| crop | blocks | batch 1, GB | each further, GB | {budgets} |
|---|---|---|---|{rule}
"""


def peak(crop: int, batch: int, recompute: bool) -> int:
    """Return the bytes that training needs in this process, which must be new."""
    before = peak_bytes()
    counter = build_counter(load_recipe("sha", ["model.base=random:vit_b"]), segmenter=True).counter.train()
    if recompute:
        enable_gradient_checkpointing(counter.encoder)
    optimizer = torch.optim.AdamW([p for p in counter.parameters() if p.requires_grad])
    images = torch.randn(batch, 3, crop, crop)
    for _ in range(2):
        output = counter(images)
        assert output.mask_logits is not None
        (output.density.mean() + output.mask_logits.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return peak_bytes() - before


def fits(one: int, two: int, gib: int) -> int:
    """Return the largest batch whose peak stays within a budget."""
    return max(0, int((gib * 2**30 - one) // (two - one)) + 1)


def main() -> None:
    """Measure every crop with and without recomputed blocks."""
    lines = []
    for crop in _CROPS:
        for recompute in (False, True):
            one, two = (in_fresh_process(peak, crop, batch, recompute) for batch in (1, 2))
            cells = [
                f"{crop} px",
                "recomputed" if recompute else "kept",
                f"{one / 1e9:.2f}",
                f"{(two - one) / 1e9:.2f}",
            ]
            lines.append("| " + " | ".join(cells + [str(fits(one, two, gib)) for gib in _BUDGETS]) + " |")
            print(lines[-1], flush=True)
    budgets = " | ".join(f"batch in {gib} GiB" for gib in _BUDGETS)
    head = _HEAD.format(machine=this_machine(), budgets=budgets, rule="---|" * len(_BUDGETS))
    Path(__file__).with_name("memory.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
