"""benchmarks/accuracy.md and its plots, from the lines of accuracy.jsonl."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

Record = dict[str, Any]

_HEAD = """# Accuracy

Written by `python -m benchmarks.accuracy table` from `accuracy.jsonl`, one line per run; do not edit. Every figure is
ours, measured on a machine of two x86 CPU cores without a GPU, by the command that its line in `accuracy.jsonl` gives
(with the number of threads: two runs of one thread each share the machine).
MAE and RMSE are heads per image. `±` is the standard deviation over seeds, and every seed's figure stands behind it.
Epochs are chosen on validation; the development "test" splits of ShanghaiTech (carved from its official *train* images,
so not comparable with published figures) are counted once per run, after training.
"""


def write_table(folder: Path, experiments: Sequence[Record], records: Sequence[Record], data: Path | None) -> None:
    """Write `folder/accuracy.md`. `data`, where given, adds what predicting the mean of train gives on test."""
    parts = [_HEAD]
    for experiment in experiments:
        found = [record for record in records if record["experiment"] == experiment["name"]]
        if found:
            parts.append(_section(experiment, found, data))
            if experiment["plot"]:
                _plot(experiment, found, folder.parent / experiment["plot"])
                parts.append(f"![{experiment['title']}](../{experiment['plot']})\n")
    (folder / "accuracy.md").write_text("\n".join(parts), encoding="utf-8")


def _section(experiment: Record, records: Sequence[Record], data: Path | None) -> str:
    tested = any("test_mae" in record for record in records)
    heads = ["", "epochs", "minutes", "validation MAE", *(["test MAE", "test RMSE"] if tested else [])]
    lines = [f"## {experiment['title']}", "", experiment["note"].strip(), ""]
    lines += [f"Recipe `{experiment['recipe']}`. First command: `{records[0]['command']}`", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    naive = [f"{records[0]['val_mean_mae']:.1f}"]
    if tested:
        naive += [f"{value:.1f}" for value in _predicting_the_mean(data / experiment["data"])] if data else ["", ""]
    lines.append("| " + " | ".join(["predicting the mean of train", "", "", *naive]) + " |")
    for row in experiment["rows"]:
        chosen = [record for record in records if record["row"] == row["label"]]
        if chosen:
            figures = ["val_mae", *(["test_mae", "test_rmse"] if tested else [])]
            minutes = mean(record["seconds"] for record in chosen) / 60
            cells = [
                row["label"],
                str(chosen[0]["epochs"]),
                f"{minutes:.1f}",
                *(_spread(chosen, key) for key in figures),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _spread(records: Sequence[Record], key: str) -> str:
    values = [record[key] for record in records]
    if len(values) == 1:
        return f"{values[0]:.1f}"
    listed = ", ".join(f"{value:.1f}" for value in values)
    return f"{mean(values):.1f} ± {stdev(values):.1f} ({listed})"


def _plot(experiment: Record, records: Sequence[Record], path: Path) -> None:
    """Validation MAE against the rows' `x`, one line per `line`; a band from the lowest to the highest seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), dpi=200)
    axes = figure.subplots()
    for number, line in enumerate(dict.fromkeys(row["line"] for row in experiment["rows"])):
        found = {
            row["x"]: [record["val_mae"] for record in records if record["row"] == row["label"]]
            for row in experiment["rows"]
            if row["line"] == line
        }
        drawn = {x: values for x, values in found.items() if values}
        axes.plot(list(drawn), [mean(values) for values in drawn.values()], marker="os"[number % 2], label=line)
        axes.fill_between(list(drawn), [min(v) for v in drawn.values()], [max(v) for v in drawn.values()], alpha=0.15)
    axes.set(xlabel="annotation noise in % of the box", ylabel="validation MAE (heads)", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def _predicting_the_mean(folder: Path) -> tuple[float, float]:
    """MAE and RMSE on test of the mean count of all annotated train images."""
    from sam_mprompt.data.readers import read_split
    from sam_mprompt.evaluate import metrics

    counts = {
        split: [s.count for part in parts for s in read_split(folder, part).samples if s.points is not None]
        for split, parts in (("train", ("train", "val")), ("test", ("test",)))
    }
    result = metrics([float(np.mean(counts["train"]))] * len(counts["test"]), counts["test"])
    return result.mae, result.rmse
