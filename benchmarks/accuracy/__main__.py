"""Accuracy: train what experiments.toml names, keep a record per run, write benchmarks/accuracy.md from them.

    python -m benchmarks.accuracy run --data DIR                  # whatever is not done yet; goes on where it stopped
    python -m benchmarks.accuracy run bases-crowd --minutes 60    # one experiment, as many runs as start within an hour
    python -m benchmarks.accuracy table --data DIR                # accuracy.md, from records/accuracy/*.jsonl

DIR holds the datasets under the names that the experiments give (`shanghaitech/part_B`); experiments on procedural
crowds need none. Each experiment is an ablation as `sam-mprompt ablate` runs them; the best epoch is chosen on
validation, and a test split is counted once per run, afterwards.
"""

from pathlib import Path

from rich.console import Console

from benchmarks.accuracy.experiments import Experiment, experiments
from benchmarks.accuracy.table import write_table
from benchmarks.pages import PAGES, parser
from sam_mprompt.ablation.perform import perform
from sam_mprompt.allocator import keep_freed_memory
from sam_mprompt.cli.training_display import TrainingDisplay
from sam_mprompt.errors import RunError, UsageError


def run(experiment: Experiment, data: Path | None, minutes: float) -> None:
    """Train what has no record yet and print a line for each. Raises as `perform`."""
    with TrainingDisplay(Console(stderr=True)) as display:
        for record in perform(
            experiment.runs(),
            experiment.records,
            data=data / experiment.data if data is not None and experiment.data else None,
            test=experiment.test,
            observer=display,
            minutes=minutes,
        ):
            figures = ("val_mae", record.val_mae), ("test_mae", record.test_mae)
            print(experiment.name, record.row, record.seed, *(f"{k} {v:.2f}" for k, v in figures if v), flush=True)


def main() -> None:
    """Run or tabulate."""
    keep_freed_memory()  # as the command line does
    arguments = parser(__doc__)
    arguments.add_argument("action", choices=("run", "table"))
    arguments.add_argument("experiments", nargs="*", help="names in experiments.toml; all when none is given")
    arguments.add_argument("--data", type=Path, help="folder of the datasets")
    arguments.add_argument(
        "--minutes", type=float, default=float("inf"), help="start no run of an experiment after this"
    )
    options = arguments.parse_args()
    known = {experiment.name: experiment for experiment in experiments()}
    if unknown := set(options.experiments) - known.keys():
        arguments.error(f"no experiment {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    if options.action == "table":
        write_table(PAGES / "accuracy.md", list(known.values()), options.data)
        return
    wanted = [known[name] for name in options.experiments or known]
    if options.data is None and (on_disk := [experiment for experiment in wanted if experiment.data]):
        arguments.error(f"{on_disk[0].name} needs --data DIR with {on_disk[0].data} in it")
    for experiment in wanted:
        try:
            run(experiment, options.data, options.minutes)
        except (UsageError, RunError) as error:
            arguments.error(f"{experiment.name}: {error}")


if __name__ == "__main__":
    main()
