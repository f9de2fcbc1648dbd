"""What an ablation shows: a Markdown table with spreads and the paper's figures, one CSV line per run, and a plot."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from ..files import write_text, write_with
from ..shown import csv_line
from .records import Record
from .variants import Ablation, Variant, dataset_of

_COLUMNS = (
    *("row", "seed", "epochs", "seconds", "best_epoch"),
    *("val_mae", "val_rmse", "val_nae", "test_mae", "test_rmse", "test_nae", "mask_iou", "paper"),
)
# Column, attribute of a record, decimals.
_METRICS = (
    ("validation MAE", "val_mae", 1),
    ("validation NAE", "val_nae", 3),
    ("test MAE", "test_mae", 1),
    ("test RMSE", "test_rmse", 1),
    ("test NAE", "test_nae", 3),
    ("mask IoU", "mask_iou", 3),
)


def write_tables(folder: Path, ablation: Ablation, records: Sequence[Record], recipe: str) -> str:
    """Write `table.md` and `table.csv` into a folder and return the Markdown. RunError on a full disk."""
    dataset = dataset_of(recipe)
    parts = [f"# {ablation.title}", ablation.note.strip(), f"Recipe `{recipe}`.", markdown(ablation, records, dataset)]
    text = "\n\n".join(part for part in parts if part)
    write_text(folder / "table.md", text)
    write_text(folder / "table.csv", csv_text(ablation, records, dataset))
    return text


def markdown(
    ablation: Ablation, records: Sequence[Record], dataset: str, mean_test: tuple[float, float] | None = None
) -> str:
    """Return a table of the rows that have records: mean ± standard deviation over seeds (and each seed's figure).

    Args:
        ablation: the rows in order.
        records: in any order.
        dataset: whose figures of the paper stand beside ours; no column where the paper has none.
        mean_test: test MAE and RMSE of predicting the training images' mean, where known.
    """
    metrics = [metric for metric in _METRICS if any(getattr(record, metric[1]) is not None for record in records)]
    paper = any(dataset in row.paper for row in ablation.rows)
    heads = ["", "epochs", "minutes", *(name for name, _, _ in metrics), *["paper's MAE"] * paper]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    if records:
        known = {"val_mae": records[0].val_mean_mae}
        known |= dict(zip(("test_mae", "test_rmse"), mean_test, strict=True)) if mean_test else {}
        naive = [f"{known[name]:.{digits}f}" if name in known else "" for _, name, digits in metrics]
        lines.append("| " + " | ".join(["predicting the mean of train", "", "", *naive, *[""] * paper]) + " |")
    for row in ablation.rows:
        if chosen := _of(row, records):
            cells = [row.label, str(chosen[0].epochs), f"{mean(record.seconds for record in chosen) / 60:.1f}"]
            cells += [_spread([getattr(record, name) for record in chosen], digits) for _, name, digits in metrics]
            cells += [f"{row.paper[dataset]:.1f}" if dataset in row.paper else ""] * paper
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def csv_text(ablation: Ablation, records: Sequence[Record], dataset: str) -> str:
    """Return CSV with one line per run, in the order of the rows; `paper` is the paper's MAE."""
    lines = [csv_line(_COLUMNS)]
    for row in ablation.rows:
        for record in _of(row, records):
            values = record.model_dump() | {"paper": row.paper.get(dataset)}
            lines.append(csv_line(values[name] for name in _COLUMNS))
    return "".join(lines)


def plot(ablation: Ablation, records: Sequence[Record], path: Path) -> None:
    """Draw the MAE on test, or on validation where test was not counted, as a picture at `path`.

    Rows with an `x` become lines with a band from the lowest to the highest seed; others a dot per seed and a bar at
    their mean. Needs matplotlib, an optional dependency.
    """
    from matplotlib.figure import Figure

    tested = bool(records) and all(record.test_mae is not None for record in records)
    found = {row.label: [_mae(record, tested) for record in _of(row, records)] for row in ablation.rows}
    rows = [row for row in ablation.rows if found[row.label]]
    what = f"{'test' if tested else 'validation'} MAE (heads)"
    lines = all(row.x is not None for row in rows)
    figure = Figure(figsize=(5, 3.4) if lines else (5.6, 0.8 + 0.34 * len(rows)), dpi=200)
    axes = figure.subplots()
    if lines:
        for number, line in enumerate(dict.fromkeys(row.line for row in rows)):
            drawn = {row.x or 0.0: found[row.label] for row in rows if row.line == line}
            axes.plot(list(drawn), [mean(values) for values in drawn.values()], marker="os^v"[number % 4], label=line)
            low, high = [min(values) for values in drawn.values()], [max(values) for values in drawn.values()]
            axes.fill_between(list(drawn), low, high, alpha=0.15)
        axes.set(xlabel=ablation.x_label, ylabel=what)
        axes.margins(y=0.3)  # room for the legend, and no marker at the edge
        axes.legend(frameon=False)
    else:
        for place, row in enumerate(rows):
            values = found[row.label]
            axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.5)
            axes.plot([mean(values)] * 2, [place - 0.3, place + 0.3], color="tab:blue")
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set(xlabel=what)
        axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y" if lines else "x", alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_with(path, lambda temporary: figure.savefig(temporary, format=path.suffix.removeprefix(".")))


def _of(row: Variant, records: Sequence[Record]) -> list[Record]:
    return sorted((record for record in records if record.row == row.label), key=lambda record: record.seed)


def _mae(record: Record, tested: bool) -> float:
    return record.test_mae if tested and record.test_mae is not None else record.val_mae


def _spread(values: Sequence[float | None], digits: int) -> str:
    """Mean ± standard deviation and each figure, of those that are known."""
    known = [value for value in values if value is not None]
    figures = ", ".join(f"{value:.{digits}f}" for value in known)
    return f"{mean(known):.{digits}f} ± {stdev(known):.{digits}f} ({figures})" if len(known) > 1 else figures
