"""What the prompts say that the points do not: writes benchmarks/prompt_content.md.

    python -m benchmarks.accuracy.prompt_content --data DIR --masks MASKS

Eq. 1 joins the pseudo mask m_p and the binarised density B(y), Eq. 2 keeps what lies in the context mask m_K. A target
of the segmenter that is B(y) and nothing else is a second drawing of what the regressor is trained on anyway. So: which
share of m comes from where, over one crop of every training image. Nothing is trained.

DIR holds the datasets under the names `shanghaitech/part_A` and `shanghaitech/part_B`, MASKS what `sam-mprompt masks`
made for part B (experiments.toml, table4-shb-tiny-side, says how).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pages import parser, table, write_page
from sam_mprompt.data.dataset import CropDataset
from sam_mprompt.data.sources import open_split
from sam_mprompt.recipe.schema import Recipe, load_recipe

_HEAD = """# What the prompts say that the points do not

Written by `python -m benchmarks.accuracy.prompt_content --data DIR --masks MASKS`; do not edit. One random crop of
every training image, no training. m is Eq. 1's mask, m_p OR B(y); "only" is the share of its cells that the other does
not have; "outside m_K" is the share of them that Eq. 2 takes away.
"""
_COLUMNS = ("recipe", "pseudo mask", "cells of m", "only in m_p", "only in B(y)", "outside m_K")
_FOLDERS = {"shb-tiny-side": "shanghaitech/part_B", "sha-tiny-side": "shanghaitech/part_A"}


@dataclass(frozen=True)
class Content:
    """Shares in [0, 1]: of all cells that are in m, and of those in m by origin and fate."""

    mask: float
    only_pseudo: float
    only_density: float
    outside_context: float


def content(recipe: Recipe, data: Path | None) -> Content:
    """Count the cells of the training split's crops, at the recipe's density stride."""
    dataset = CropDataset(
        open_split(recipe, "train", data).source,
        recipe.data,
        recipe.targets,
        seed=recipe.train.seed,
        stride=recipe.model.density_stride,
    )
    cells = np.zeros(5)
    for index in range(len(dataset.source)):
        targets = dataset[0, index].targets
        counted, pseudo, context = (
            np.asarray(mask) for mask in (targets.density > 0, targets.pseudo_mask, targets.context_mask)
        )
        mask = pseudo | counted
        parts = (mask, pseudo & ~counted, counted & ~pseudo, mask & ~context, np.ones_like(mask))
        cells += [part.sum() for part in parts]
    return Content(cells[0] / cells[4], *(cells[1:4] / cells[0]))


def main() -> None:
    """Write the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder of the datasets")
    arguments.add_argument("--masks", type=Path, required=True, help="masks of part B by a segmenter")
    options = arguments.parse_args()
    rows = []
    for name, label, overrides in (
        ("shb-tiny-side", "points", ["targets.pseudo_mask=points"]),
        ("shb-tiny-side", "by a segmenter", ["targets.pseudo_mask=files", f"targets.masks={options.masks}"]),
        ("sha-tiny-side", "points", ["targets.pseudo_mask=points"]),
        ("demo", "points", ["targets.pseudo_mask=points"]),
        ("demo", "boxes", ["targets.pseudo_mask=boxes"]),
    ):
        found = content(load_recipe(name, overrides), options.data / _FOLDERS[name] if name in _FOLDERS else None)
        shares = (found.mask, found.only_pseudo, found.only_density, found.outside_context)
        rows.append([f"`{name}`", label, *(f"{share:.1%}" for share in shares)])
    write_page("prompt_content", _HEAD, table(_COLUMNS, rows))


if __name__ == "__main__":
    main()
