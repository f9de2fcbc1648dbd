"""What is to be trained: the rows of a table, and the runs that they are with a recipe and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from ..recipe.find import find_recipe
from ..recipe.schema import Section, load_recipe, read_recipe
from ..resources import bundled
from ..training.run import RunFolder

_FOLDER = "ablation"


class Variant(Section):
    """A variant of a recipe.

    Attributes:
        label: what the table calls it.
        recipe: the recipe of this row, where it is not the one that the others share.
        set: the `KEY=VALUE` that make it; {seed} and {dataset} stand for the seed and the recipe's dataset.
        line, x: where a plot shows it: a line's name and a place on the x axis.
        paper: MAE that the paper gives, by dataset ("sha", "shb", "qnrf", "nwpu").
    """

    label: str
    recipe: str = ""
    set: tuple[str, ...] = ()
    line: str = ""
    x: float | None = None
    paper: dict[str, float] = Field(default_factory=dict)


class Ablation(Section):
    """The rows of a table, as a file of recipes/ablation holds them. `name` is the file's stem."""

    name: str = "custom"
    title: str
    note: str = ""
    x_label: str = ""
    rows: Annotated[tuple[Variant, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rows_are_told_apart(self) -> Self:
        labels = [row.label for row in self.rows]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"every row needs a label of its own, twice: {', '.join(twice)}")
        folders = [_slug(label) for label in labels]
        if same := [label for label, folder in zip(labels, folders, strict=True) if folders.count(folder) > 1]:
            raise ValueError(f"labels name the folders of runs and must differ in letters or digits: {', '.join(same)}")
        if not all(folders):
            raise ValueError("a label names the folder of a run and needs a letter or digit")
        if {row.x is None for row in self.rows} == {True, False}:
            raise ValueError("either every row has an x, or none")
        return self


@dataclass(frozen=True)
class Run:
    """One training: a row with one seed.

    Attributes:
        recipe: name or file.
        settings: every `KEY=VALUE` that is set on top of the recipe, in order; the last is the seed.
        folder: its run folder.
    """

    row: Variant
    seed: int
    recipe: str
    settings: tuple[str, ...]
    folder: RunFolder

    @property
    def key(self) -> tuple[str, int]:
        """What makes a run the same run."""
        return self.row.label, self.seed

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.row.label}, seed {self.seed}"


def load_ablation(name_or_file: str | Path) -> Ablation:
    """Read rows by name ("table2") or file. Raises UsageError as `load_recipe` does."""
    folders = (Path("recipes") / _FOLDER, bundled("recipes") / _FOLDER)
    return read_recipe(find_recipe(str(name_or_file), folders), (), Ablation)


def dataset_of(recipe: str) -> str:
    """Return the dataset whose figures of the paper stand beside a recipe's: "sha" for "sha-tiny-prompt", or ""."""
    return load_recipe(recipe).dataset


def plan(ablation: Ablation, recipe: str, *, seeds: dict[str, int], settings: Sequence[str], out: Path) -> list[Run]:
    """List all runs, the first seed of every row before the second of any.

    Args:
        ablation: the rows.
        recipe: name or file of the recipe that all rows share which name none of their own.
        seeds: how many seeds each row gets, by label.
        settings: `KEY=VALUE` for all rows.
        out: the runs' folders are made in it.

    Raises:
        UsageError: a row is no valid recipe; nothing was trained then.
    """
    dataset = dataset_of(recipe) or Path(recipe).stem
    runs = []
    for row in ablation.rows:
        for seed in range(seeds[row.label]):
            sets = (*settings, *row.set, f"train.seed={seed}")
            filled = tuple(text.replace("{seed}", str(seed)).replace("{dataset}", dataset) for text in sets)
            runs.append(Run(row, seed, row.recipe or recipe, filled, RunFolder(out / f"{_slug(row.label)}-{seed}")))
    for run in runs:
        load_recipe(run.recipe, run.settings)  # a faulty one raises
    return sorted(runs, key=lambda run: run.seed)


def _slug(label: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in label).split())
