"""The README.md of an adapter folder: what it is, how to use it, what it was measured at."""

from typing import Any

from ..recipe.schema import Recipe
from .counter_file import CounterFile


def model_card(info: CounterFile, recipe: Recipe, metrics: dict[str, Any]) -> str:
    """Return Markdown with the front matter that model hubs read (`library_name: peft`)."""
    library = "sam-mprompt" if info.native else "peft"
    what = (
        "The folder holds the whole model: its encoder was trained too."
        if info.native
        else f"It works on top of the frozen base `{info.base}` (`{info.base_fingerprint}`), which it does not contain."
    )
    return f"""---
library_name: {library}
base_model: {info.base}
tags:
- crowd-counting
- sam-mprompt
---

# {recipe.name}

A crowd counter trained with sam-mprompt {info.written_by}, recipe `{recipe.name}`, data format `{recipe.data.format}`.
{what}

```python
import sam_mprompt

counter = sam_mprompt.load("path/to/this/folder")
print(counter.count("crowd.jpg").count)
```

## Measured while training

{_figures(metrics)}
{_meaning(metrics)} Measure with `sam-mprompt evaluate` on images of your own.

## Trained with

Tuning `{recipe.tuning.method}`, loss weights density {recipe.loss.density:g}, segmentation {recipe.loss.segmentation:g}
and context {recipe.loss.context:g}, {recipe.train.epochs} epochs, seed {recipe.train.seed}. The full recipe is in
`recipe.toml`.
"""


def _meaning(metrics: dict[str, Any]) -> str:
    if folds := metrics.get("folds"):
        return (
            f"The adapter was trained on all images. The figures are those of {folds} other trainings, each of which "
            "counted images that it did not see; they are no test."
        )
    return "The validation images chose the epoch; they are no test."


def _figures(metrics: dict[str, Any]) -> str:
    val = metrics.get("val")
    if not isinstance(val, dict) or not all(isinstance(val.get(key), int | float) for key in ("images", "mae", "rmse")):
        return "Nothing: the run was not validated.\n"
    lines = ["| split | images | MAE | RMSE | epoch |", "|---|---|---|---|---|"]
    split = "held out in folds" if metrics.get("folds") else "val"
    lines.append(f"| {split} | {val['images']} | {val['mae']:.2f} | {val['rmse']:.2f} | {metrics.get('epoch')} |")
    return "\n".join(lines) + "\n"
