"""The README.md of an adapter folder: what it is, how to use it, how far to trust it, and what hubs read of it."""

from collections.abc import Sequence
from typing import Any

from ..recipe.schema import Recipe
from ..shown import shown
from .calibration_file import CalibrationFile, Origin
from .counter_file import CounterFile
from .licences_file import LicencesFile
from .scope_file import ScopeFile

PIPELINE_TAG = "object-detection"
"""The Hub knows no task of counting; a counter also locates heads, and who looks for one looks there."""

_BEYOND = 1e12
"""Heads, images; figures of strangers may be any."""

_LONGEST_WORD, _PACKAGES = 100, 20
"""Characters, and packages; so are the words of strangers."""

_ORIGINS: dict[Origin, str] = {
    "val": "the val split, which chose the epoch",
    "folds": "images that were held out in folds",
    "images": "images that it was not trained on",
}


def model_card(
    info: CounterFile,
    recipe: Recipe,
    metrics: dict[str, Any],
    *,
    of_peft: bool,
    licences: LicencesFile,
    calibration: CalibrationFile | None = None,
    scope: ScopeFile | None = None,
    licence: str = "",
    datasets: Sequence[str] = (),
    source: str = "path/to/this/folder",
) -> str:
    """Return Markdown with the front matter that Hugging Face's Hub reads.

    Args:
        info: the adapter's counter.json.
        recipe: what it was trained with.
        metrics: validation figures, as finetune wrote them.
        of_peft: whether peft can read its prompt modules.
        licences: of base and images.
        calibration: where its error bars come from.
        scope: what its training saw.
        licence: its own licence, as the Hub calls it; empty where nobody chose one.
        datasets: the Hub's names "OWNER/NAME" of what it was trained on.
        source: what `load` is given.
    """
    return f"""---
{_front_matter(info, recipe, metrics, of_peft, licences, licence, datasets)}
---

# {shown(recipe.name)}

A crowd counter trained with sam-mprompt {info.written_by}, recipe `{shown(recipe.name)}`, data format \
`{recipe.data.format}`.
{_base(info)}

{_use(source)}

## Measured while training

{_figures(metrics)}
{_meaning(metrics)} Measure with `sam-mprompt evaluate` on images of your own.

## How sure a count is

{_error_bars(calibration)}

{_scope(scope)}

## Trained with

{_training(recipe)}
{_environment(metrics)}
## Licences

{_licences(licences, licence)}
"""


def _front_matter(
    info: CounterFile,
    recipe: Recipe,
    metrics: dict[str, Any],
    of_peft: bool,
    licences: LicencesFile,
    licence: str,
    datasets: Sequence[str],
) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    figures = _validation(metrics)
    dataset: dict[str, Any] = {
        "dataset_type": datasets[0] if datasets else recipe.data.format,
        "dataset_name": recipe.data.format,
    }
    results = [
        EvalResult(
            task_type=PIPELINE_TAG,
            task_name="crowd counting",
            dataset_split="validation",
            metric_type=name,
            metric_name=name.upper(),
            metric_value=round(float(figures[name]), 4),
            **dataset,
        )
        for name in ("mae", "rmse")
        if figures
    ]
    base: dict[str, Any] = {}
    if licences.base_hub_id:
        relation = "finetune" if info.native else "adapter"
        base = {"base_model": licences.base_hub_id, "base_model_relation": relation}
    card = ModelCardData(
        library_name="sam-mprompt",
        pipeline_tag=PIPELINE_TAG,
        license=licence or None,
        datasets=list(datasets) or None,
        tags=["crowd-counting", "sam-mprompt", *(["peft"] if of_peft else [])],
        model_name=shown(recipe.name),
        eval_results=results or None,
        **base,
    )
    return card.to_yaml().strip()


def _base(info: CounterFile) -> str:
    if info.native:
        return "The folder holds the whole model: its encoder was trained too."
    base = f"`{shown(info.base)}` (`{info.base_fingerprint}`)"
    return f"It works on top of the frozen base {base}, which it does not contain."


def _use(source: str) -> str:
    return f"""```python
import sam_mprompt

counter = sam_mprompt.load("{source}")
print(counter.count("crowd.jpg").count)
```"""


def _training(recipe: Recipe) -> str:
    loss, train = recipe.loss, recipe.train
    method = recipe.tuning.method
    kind = "" if loss.kind == "mse" else f"density loss `{loss.kind}`, "
    return f"""Tuning `{method}`, {kind}loss weights density {loss.density:g}, segmentation {loss.segmentation:g}
and context {loss.context:g}, {train.epochs} epochs, seed {train.seed}. The full recipe is in
`recipe.toml`."""


def _environment(metrics: dict[str, Any]) -> str:
    """Return where it was trained, as a paragraph; nothing of one that does not say, as those up to 0.2 do not."""
    told = metrics.get("environment")
    if not isinstance(told, dict):
        return ""
    packages = told.get("packages")
    versions = sorted(packages.items())[:_PACKAGES] if isinstance(packages, dict) else []
    software = [f"Python {_word(told.get('python'))}", *(f"{_word(name)} {_word(number)}" for name, number in versions)]
    where = ", ".join(_word(told.get(key)) for key in ("system", "processor"))
    return f"\nTrained on {where}, computed on {_word(told.get('device'))}, with {', '.join(software)}.\n"


def _word(value: object) -> str:
    return shown(value)[:_LONGEST_WORD] if isinstance(value, str | int) else "not known"


def _validation(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the validation figures, none where they are not whole."""
    val = metrics.get("val")
    if not isinstance(val, dict) or not all(_figure(val.get(key)) for key in ("images", "mae", "rmse")):
        return {}
    return val


def _figure(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < _BEYOND


def _meaning(metrics: dict[str, Any]) -> str:
    if folds := metrics.get("folds"):
        return (
            f"The adapter was trained on all images. The figures are those of {folds} other trainings, each of which "
            "counted images that it did not see; they are no test."
        )
    return "The validation images chose the epoch; they are no test."


def _figures(metrics: dict[str, Any]) -> str:
    val = _validation(metrics)
    if not val:
        return "Nothing: the run was not validated.\n"
    lines = ["| split | images | MAE | RMSE | epoch |", "|---|---|---|---|---|"]
    split = "held out in folds" if metrics.get("folds") else "val"
    lines.append(f"| {split} | {val['images']} | {val['mae']:.2f} | {val['rmse']:.2f} | {metrics.get('epoch')} |")
    return "\n".join(lines) + "\n"


def _error_bars(calibration: CalibrationFile | None) -> str:
    if calibration is None:
        return "There are no error bars: the adapter has no calibration. `sam-mprompt calibrate` makes one."
    return (
        f"Error bars come from what {len(calibration.heads)} images were counted as (`calibration.json`): "
        f"{_ORIGINS[calibration.origin]}. They hold for images like those."
    )


def _scope(scope: ScopeFile | None) -> str:
    if scope is None or not scope.ranges:
        return "What its training saw is not known, so that no image is warned of that is unlike it."
    lines = [
        f"{scope.images} training images lay in these ranges (`scope.json`); of images outside is warned.\n",
        "| measure | least | most |",
        "|---|---|---|",
    ]
    lines += [f"| {shown(name)} | {own.least:.4g} | {own.most:.4g} |" for name, own in sorted(scope.ranges.items())]
    return "\n".join(lines)


def _licences(licences: LicencesFile, licence: str) -> str:
    told = {"This adapter": licence, "Its base": licences.base, "The training images": licences.data}
    return "\n".join(f"- {what}: {shown(name) if name else 'not known'}" for what, name in told.items())
