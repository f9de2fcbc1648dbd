"""`plan`: a recipe for someone's own photographs, with the reason of each value."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .ui import (
    AsJson,
    Columns,
    Data,
    Format,
    Label,
    Overrides,
    marks_override,
    messages,
    print_json,
    print_table,
    table,
)

if TYPE_CHECKING:
    from ..planning.plan import Plan
    from ..training.observer import Observer

EXAMPLE = "Example: `sam-mprompt plan --data photos --minutes 20 > mine.toml`"
Minutes = Annotated[
    float | None, typer.Option(metavar="N", help="How long the planned training may take; by default 20.")
]
_MINUTES = 20.0


@dataclass(frozen=True)
class Wanted:
    """What a plan is asked for: the folder, and what the user decided beforehand."""

    data: Path
    minutes: float | None
    format: str | None
    base: str | None
    overrides: tuple[str, ...]


def plan(
    data: Data,
    minutes: Minutes = None,
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    base: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base instead of the planned one.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Plan a recipe for a folder's training images and this machine; print it as TOML, and why as a table.

    The test split is not looked at. `finetune --recipe` trains the printed recipe, edited or not.
    """
    from .training_display import TrainingDisplay

    with TrainingDisplay(messages()) as display:
        settings = (*(overrides or ()), *marks_override(label, columns))
        made = planned_for(Wanted(data, minutes, data_format, base, settings), display)
    if as_json:
        print_json(made.as_dict())
        return
    print_plan(made)
    typer.echo(made.to_toml(), nl=False)


def planned_for(wanted: Wanted, observer: "Observer") -> "Plan":
    """Plan for this machine, where a few steps are timed."""
    from ..planning import timing
    from ..planning.machine import this_machine
    from ..planning.plan import plan as make

    return make(
        wanted.data,
        minutes=_MINUTES if wanted.minutes is None else wanted.minutes,
        machine=this_machine(),
        timer=lambda recipe, root: timing.time_training(recipe, root, observer),
        format=wanted.format,
        base=wanted.base,
        overrides=wanted.overrides,
    )


def print_plan(made: "Plan") -> None:
    """Print what was planned and why, on stderr."""
    printed = table("what", "value", "because")
    for row in made.rows:
        printed.add_row(row.key, _text(row.value), row.because)
    print_table(printed, messages())


def refuse_launcher() -> None:
    """Refuse to plan in one of several processes, each of which would time and plan on its own."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "Several processes cannot plan: expected a recipe. Write one with "
            "'sam-mprompt plan --data DIR > mine.toml' and give it as --recipe mine.toml."
        )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
