"""Accuracy: train what benchmarks/accuracy.toml names, keep a record per run, write benchmarks/accuracy.md from them.

    python -m benchmarks.accuracy run --data DIR                  # whatever is not done yet; goes on where it stopped
    python -m benchmarks.accuracy run bases-crowd --minutes 60    # one experiment, as many runs as start within an hour
    python -m benchmarks.accuracy table --data DIR                # accuracy.md, from accuracy/*.jsonl

DIR holds the datasets under the names that the experiments give (`shanghaitech/part_B`); experiments on procedural
crowds need none. Each experiment is an ablation as `sam-mprompt ablate` runs them; the best epoch is chosen on
validation, and a test split is counted once per run, afterwards.
"""

import argparse
import tomllib
from pathlib import Path

from pydantic import Field
from rich.console import Console

from benchmarks.accuracy_table import write_table
from sam_mprompt.ablation.perform import Ablation, Run, Variant, load_ablation, perform, plan
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.recipe.schema import Section

HERE = Path(__file__).parent
RUNS = Path("runs") / "accuracy"


class Experiment(Section):
    """One comparison.

    Attributes:
        name, title, note: as the table shows them.
        recipe: a committed recipe.
        rows: a file of recipes/ablation or of benchmarks/ablation.
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
        own = HERE / "ablation" / f"{self.rows}.toml"
        found = load_ablation(own if own.is_file() else self.rows)
        return found.model_copy(update={"rows": (*found.rows, *self.more_rows)})

    @property
    def records(self) -> Path:
        """Where its records are."""
        return HERE / "accuracy" / f"{self.name}.jsonl"

    def runs(self) -> list[Run]:
        """All its trainings."""
        seeds = {row.label: self.more_seeds.get(row.label, self.seeds) for row in self.ablation.rows}
        return plan(self.ablation, self.recipe, seeds=seeds, settings=self.settings, out=RUNS / self.name)


def experiments() -> list[Experiment]:
    """Read benchmarks/accuracy.toml."""
    tables = tomllib.loads((HERE / "accuracy.toml").read_text(encoding="utf-8"))
    return [Experiment.model_validate({"name": name, **table}, strict=False) for name, table in tables.items()]


def main() -> None:
    """Run or tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "table"))
    parser.add_argument("experiments", nargs="*", help="names in accuracy.toml; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the datasets")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run of an experiment after this")
    options = parser.parse_args()
    known = {experiment.name: experiment for experiment in experiments()}
    if unknown := set(options.experiments) - known.keys():
        parser.error(f"no experiment {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    if options.action == "table":
        write_table(HERE, list(known.values()), options.data)
        return
    wanted = [known[name] for name in options.experiments or known]
    if options.data is None and (on_disk := [experiment for experiment in wanted if experiment.data]):
        parser.error(f"{on_disk[0].name} needs --data DIR with {on_disk[0].data} in it")
    for experiment in wanted:
        place = options.data / experiment.data if experiment.data else None
        try:
            for record in perform(
                experiment.runs(),
                experiment.records,
                data=place,
                test=experiment.test,
                console=Console(stderr=True),
                minutes=options.minutes,
            ):
                figures = ("val_mae", record.val_mae), ("test_mae", record.test_mae)
                print(experiment.name, record.row, record.seed, *(f"{k} {v:.2f}" for k, v in figures if v), flush=True)
        except (UsageError, RunError) as error:
            parser.error(f"{experiment.name}: {error}")


if __name__ == "__main__":
    main()
