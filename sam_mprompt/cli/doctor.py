"""`doctor`: what is here, what is missing for which job, and whether the main job works."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .advice import advised
from .ui import AsJson, StreamedTable, print_json, print_table, table

if TYPE_CHECKING:
    from ..doctor.report import Check, Problem, Section

EXAMPLE = "Example: `sam-mprompt doctor > report.txt`"


def doctor(
    as_json: AsJson = False,
    without_test: Annotated[
        bool, typer.Option("--no-test", help="Only look: try neither counting nor training.")
    ] = False,
) -> None:
    """Say what is here, what is missing for which job, and whether the main job works: for a bug report.

    The home folder is shown as ~; names of user and machine, and tokens, are left out. Ends with 1 where something
    stops counting or training, and says in a line what to do.
    """
    from ..doctor.examine import examine
    from ..doctor.self_test import TESTS, problems, self_tests
    from ..doctor.software import this_distribution

    of = this_distribution()
    sections = _told(examine(of), quiet=as_json)
    checks = [] if without_test else _tested(self_tests(of), TESTS, quiet=as_json)
    wrong = [problem for section in sections for problem in section.problems] + problems(checks)
    if as_json:
        print_json(_as_dict(sections, checks, wrong))
    else:
        _conclude(wrong, tested=bool(checks))
    if any(problem.stops for problem in wrong):
        raise typer.Exit(1)


def _told(found: "Iterable[Section]", *, quiet: bool) -> "list[Section]":
    """Print each subject as soon as it is examined: should the next one end the process, these are there."""
    sections = []
    for section in found:
        sections.append(section)
        if not quiet:
            _print_section(section)
    return sections


def _print_section(section: "Section") -> None:
    """Print a table that a terminal folds; elsewhere plain lines without blanks at their ends, to be pasted."""
    terminal = Console().is_terminal
    rows: Any = table(section.title, "") if terminal else StreamedTable({section.title: list(section.rows), "": []})
    for name, value in section.rows.items():
        rows.add_row(name, value)
    if terminal:
        print_table(rows)
    typer.echo()


def _tested(found: "Iterable[Check]", names: Sequence[str], *, quiet: bool) -> "list[Check]":
    """Print how each self-test ended as soon as it has."""
    rows = StreamedTable({"Self-test": names, "outcome": ["left out"], "seconds": [], "result": []}, right=("seconds",))
    checks = []
    for check in found:
        checks.append(check)
        if not quiet:
            rows.add_row(check.name, check.outcome, f"{check.seconds:.1f}", check.said)
            for frame in check.trace:
                typer.echo(f"  {frame}")
    return checks


def _conclude(wrong: "Sequence[Problem]", *, tested: bool) -> None:
    """Say what is wrong and what to do, what stops the main job first."""
    typer.echo()
    for problem in sorted(wrong, key=lambda one: not one.stops):
        typer.echo(f"{'WRONG' if problem.stops else 'note'}: {advised(problem.error)}")
    if not any(problem.stops for problem in wrong):
        typer.echo("Nothing is wrong that stops counting or training." if tested else "Nothing wrong was seen.")


def _as_dict(sections: "Sequence[Section]", checks: "Sequence[Check]", wrong: "Sequence[Problem]") -> dict[str, Any]:
    return {
        "sound": not any(problem.stops for problem in wrong),
        "sections": {section.title: section.rows for section in sections},
        "self_tests": [check.as_dict() for check in checks],
        "problems": [{"stops": problem.stops, "said": advised(problem.error)} for problem in wrong],
    }
