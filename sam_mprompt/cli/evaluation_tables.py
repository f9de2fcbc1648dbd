"""What `evaluate` prints: metrics by group, the worst images, locations, and what could not be read."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from .ui import print_table, say, table

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation, ImageResult
    from ..evaluation.localisation import Localisation
    from ..evaluation.metrics import Metrics


def print_evaluation(evaluation: "Evaluation", console: Console, no_bars: str = "", *, worst: int = 5) -> None:
    """Print metrics by group, the `worst` worst images, error bars or why there are none, and what could not be read.

    `no_bars` is the line that says why there are none.
    """
    if evaluation.metrics is None:
        say(console, f"{len(evaluation.rows)} images counted; none is annotated, so there are no metrics.")
    else:
        print_table(_metrics_table(evaluation, evaluation.metrics), console)
        if worst > 0:
            print_table(_worst_table(evaluation.worst(worst)), console)
    if (bars := evaluation.coverage) is not None:
        held = round(bars.inside * bars.images)
        say(
            console,
            f"Error bars of {100 * bars.level:g} % hold {held} of {bars.images} true counts "
            f"({100 * bars.inside:.1f} %), and are {bars.width:.1f} heads wide in the mean.",
        )
    elif no_bars:
        say(console, no_bars)
    if evaluation.mask_iou is not None:
        say(console, f"Mask IoU with head boxes: {evaluation.mask_iou:.3f}")
    if evaluation.localisation:
        print_table(_localisation_table(evaluation.localisation), console)
    if evaluation.failed:
        say(console, f"{len(evaluation.failed)} images could not be read and are in no figure above:")
        for _, reason in evaluation.failed:
            say(console, f"  {reason}")


def print_regions(found: Mapping[str, "Metrics"], console: Console) -> None:
    """Print the errors in each region; nothing without any."""
    if not found:
        return
    shown = table("region", "images", "MAE", "RMSE", "NAE", right=("images", "MAE", "RMSE", "NAE"))
    for name, part in found.items():
        shown.add_row(name, *_cells(part))
    print_table(shown, console)


def _metrics_table(evaluation: "Evaluation", total: "Metrics") -> Table:
    shown = table("group", "images", "MAE", "RMSE", "NAE", right=("images", "MAE", "RMSE", "NAE"))
    shown.add_row("all", *_cells(total), style="bold")
    for name, values in evaluation.groups.items():
        if len(values) > 1:  # one value only would repeat the total
            for value, part in values.items():
                shown.add_row(f"{name} {value}{_heads(value) if name == 'level' else ''}", *_cells(part))
    return shown


def _localisation_table(localisation: Mapping[str, "Localisation"]) -> Table:
    shown = table("within", "precision", "recall", "F1", right=("precision", "recall", "F1"))
    for name, found in localisation.items():
        shown.add_row(name, *(f"{value:.3f}" for value in (found.precision, found.recall, found.f1)))
    return shown


def _worst_table(rows: Sequence["ImageResult"]) -> Table:
    shown = table("worst images", "actual", "predicted", "error", right=("actual", "predicted", "error"))
    for row in rows:
        shown.add_row(row.image.name, str(row.actual), f"{row.predicted:.1f}", f"{row.error:+.1f}")
    return shown


def _cells(part: "Metrics") -> tuple[str, str, str, str]:
    return str(part.images), f"{part.mae:.2f}", f"{part.rmse:.2f}", "-" if part.nae is None else f"{part.nae:.3f}"


def _heads(level: str) -> str:
    from ..evaluation.metrics import LEVELS

    least, most = LEVELS[level]
    if most is None:
        return f" (over {least - 1} heads)"
    return f" ({least} heads)" if least == most else f" ({least}-{most} heads)"
