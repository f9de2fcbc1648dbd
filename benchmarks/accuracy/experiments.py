"""The comparisons of experiments.toml: which recipe in which variants and seeds, and where their records are."""

import tomllib
from pathlib import Path

from pydantic import Field

from benchmarks.pages import RECORDS
from sam_mprompt.ablation.variants import Ablation, Run, Variant, load_ablation, plan
from sam_mprompt.recipe.schema import Section

HERE = Path(__file__).parent
RUNS = Path("runs") / "accuracy"


class Experiment(Section):
    """One comparison.

    Attributes:
        name, title, note: as the table shows them.
        recipe: a committed recipe.
        rows: a file of recipes/ablation or of rows/ here.
        more_rows: rows of this experiment alone, which follow.
        data: dataset folder below DIR, or "" for procedural crowds.
        test: count the test split after training.
        settings: overrides of every row.
        seeds: seeds of a row, more than one for those in `more_seeds`, by label.
        plot: a picture to draw, or "" for none.
    """

    name: str
    title: str
    note: str = ""
    recipe: str
    rows: str
    more_rows: tuple[Variant, ...] = ()
    data: str = ""
    test: bool = False
    settings: tuple[str, ...] = ()
    seeds: int = 1
    more_seeds: dict[str, int] = Field(default_factory=dict)
    plot: str = ""

    @property
    def ablation(self) -> Ablation:
        """All rows."""
        own = HERE / "rows" / f"{self.rows}.toml"
        found = load_ablation(own if own.is_file() else self.rows)
        return found.model_copy(update={"rows": (*found.rows, *self.more_rows)})

    @property
    def records(self) -> Path:
        """Where its records are."""
        return RECORDS / "accuracy" / f"{self.name}.jsonl"

    def runs(self) -> list[Run]:
        """All its trainings."""
        seeds = {row.label: self.more_seeds.get(row.label, self.seeds) for row in self.ablation.rows}
        return plan(self.ablation, self.recipe, seeds=seeds, settings=self.settings, out=RUNS / self.name)


def experiments() -> list[Experiment]:
    """Read experiments.toml."""
    tables = tomllib.loads((HERE / "experiments.toml").read_text(encoding="utf-8"))
    return [Experiment.model_validate({"name": name, **table}, strict=False) for name, table in tables.items()]
