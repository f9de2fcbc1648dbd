"""The largest batch that trains in 8, 16 and 24 GiB: python -m benchmarks.speed.memory writes memory.md

SAM-base with prompt modules, both heads and AdamW's state, float32. Each figure is the peak of a process that takes two
steps, above what it had before there was a model; batches of one and two are measured, larger ones follow from them.
"""

import torch

from benchmarks.pages import table, write_page
from benchmarks.speed.pairs import in_fresh_process, peak_rise, this_machine
from sam_mprompt.models.acceleration import enable_gradient_checkpointing
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe

_CROPS = (448, 672, 896, 1024)
_BUDGETS = (8, 16, 24)
_HEAD = """# Memory of training

Written by `python -m benchmarks.speed.memory`; do not edit. SAM-base with prompt modules, both heads and AdamW's
state, float32, measured on a CPU ({machine}): what a process holds at its peak above what it
held before there was a model. Batches of one and two were measured; how many fit follows from them in a straight line.
Not measured: a GPU, whose kernels and allocator need more or less (`python -m benchmarks.gpu`), and bfloat16,
which needs less.
"""


def peak(crop: int, batch: int, recompute: bool, base: str = "random:vit_b") -> int:
    """Return the bytes that training needs in this process, which must be new."""
    return peak_rise(lambda: two_steps(crop, batch, recompute, base))


def two_steps(crop: int, batch: int, recompute: bool, base: str) -> None:
    """Build a counter and step twice."""
    recipe = load_recipe("sha", [f"model.base={base}"])
    counter = build_counter(recipe.model, recipe.tuning, segmenter=True).counter.train()
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


def fits(one: int, two: int, gib: int) -> int:
    """Return the largest batch whose peak stays within a budget."""
    return max(0, int((gib * 2**30 - one) // (two - one)) + 1)


def row(crop: int, recompute: bool) -> list[str]:
    """Measure batches of one and two."""
    one, two = (in_fresh_process(peak, crop, batch, recompute) for batch in (1, 2))
    blocks = "recomputed" if recompute else "kept"
    measured = [f"{crop} px", blocks, f"{one / 1e9:.2f}", f"{(two - one) / 1e9:.2f}"]
    return [*measured, *(str(fits(one, two, gib)) for gib in _BUDGETS)]


def main() -> None:
    """Measure every crop with and without recomputed blocks."""
    rows = []
    for crop in _CROPS:
        for recompute in (False, True):
            rows.append(row(crop, recompute))
            print(*rows[-1], sep=" | ", flush=True)
    heads = ["crop", "blocks", "batch 1, GB", "each further, GB", *(f"batch in {gib} GiB" for gib in _BUDGETS)]
    write_page("memory", _HEAD.format(machine=this_machine()), table(heads, rows))


if __name__ == "__main__":
    main()
