"""`ablate`: train a recipe in the variants of a table, and keep the report of all that is done."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Interrupted
from .ui import DataOfRecipe, Format, Overrides, check_outputs, format_override, messages, print_json, print_text, say

EXAMPLE = "Example: `sam-mprompt ablate --rows table2 --recipe sha --data data/part_A --seeds 3 --test`"


def ablate(
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="The recipe that all rows vary.")],
    rows: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="table2, table3, table4 or figure8 of the paper, or a TOML file.")
    ] = "table2",
    data: DataOfRecipe = None,
    data_format: Format = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Trainings of each row, with seeds 0, 1, ...")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder; by default runs/ablate/ROWS-RECIPE.")] = None,
    overrides: Overrides = None,
    test: Annotated[bool, typer.Option("--test", help="Also count the test split, once per run, at its end.")] = False,
    minutes: Annotated[float, typer.Option(min=0, help="Start no run after this time.")] = float("inf"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one record per run as JSON.")] = False,
) -> None:
    """Train a recipe in the variants of a table, and write the table beside the paper's figures, a CSV and a plot.

    What is done is not done again: the same command goes on where it was stopped, also within a run.
    """
    check_outputs(folder=out)

    from ..ablation.perform import folder_of_runs, perform, progress_of
    from ..ablation.records import read_records
    from ..ablation.report import plot, write_tables
    from ..ablation.variants import load_ablation, plan
    from ..recipe.schema import load_recipe
    from .training_display import TrainingDisplay

    ablation = load_ablation(rows)
    folder = out or Path("runs") / "ablate" / f"{ablation.name}-{Path(recipe).stem}"
    per_row = {row.label: seeds for row in ablation.rows}
    settings = list(overrides or ())
    settings += format_override(load_recipe(recipe, settings), settings, data, data_format)
    runs = plan(ablation, recipe, seeds=per_row, settings=settings, out=folder)
    console, records, drawn = messages(), folder / "records.jsonl", find_spec("matplotlib") is not None
    with folder_of_runs(folder):
        try:
            with TrainingDisplay(console) as display:
                for _ in perform(runs, records, data=data, test=test, observer=display, minutes=minutes):
                    write_tables(folder, ablation, read_records(records), recipe)
        except KeyboardInterrupt as error:
            raise Interrupted(f"stopped; {progress_of(runs, records)}, the same command goes on.") from error
        found = read_records(records)
        text = write_tables(folder, ablation, found, recipe)
        if found and drawn:
            plot(ablation, found, folder / "plot.png")
    if as_json:
        print_json([record.model_dump() for record in found])
    else:
        print_text(text)
    say(console, f"{progress_of(runs, records)}: {folder}")
    if not drawn:
        say(console, "No plot was drawn: pip install 'sam-mprompt[plots]'.")
