"""`calibrate`: error bars from annotated images that an adapter was not trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .error_bars import LEVEL, ErrorBars
from .evaluate import Split, annotated_split
from .ui import (
    Adapter,
    AsJson,
    Base,
    BatchSize,
    Columns,
    Data,
    Device,
    Format,
    Label,
    MaxPixels,
    StretchOfAdapter,
    check_outputs,
    messages,
    print_json,
    print_table,
    print_text,
    progress,
    say,
    table,
)

if TYPE_CHECKING:
    from ..adapter.folder import AdapterFolder
    from ..counting.intervals import Calibration
    from ..evaluation.evaluate import Evaluation

EXAMPLE = "Example: `sam-mprompt calibrate runs/station --data new-camera --split train --to adapters/new-camera`"

_TRAINED = "These error bars are right only if the adapter was not trained on these images; else they are too narrow."
_TESTED = "The error bars now come from the test split: what 'evaluate' says of them there is no test any more."
_GROWTH = {
    "absolute": "errors do not grow with the count",
    "sqrt": "errors grow with the square root of the count",
    "proportional": "errors grow with the count",
}
_EXAMPLES = (0.1, 0.5, 0.9)
"""Quantiles of the counts for which error bars are shown."""


def calibrate(
    adapter: Adapter,
    data: Data,
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    split: Annotated[Split, typer.Option(help="Which split to count; train only of images that did not train it.")] = (
        "val"
    ),
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a calibrated copy here, and leave the adapter as it is.")
    ] = None,
    batch_size: BatchSize = 1,
    max_pixels: MaxPixels = None,
    stretch: StretchOfAdapter = None,
    base: Base = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Count annotated images that an adapter was not trained on, and keep its errors as its error bars.

    `finetune` does so by itself; this is for another camera, more images, or an adapter that has none. A val split that
    is carved from train is the one the adapter's recipe was validated on.
    """
    check_outputs(folder=to)

    from ..adapter.find import find_adapter
    from ..adapter.hub import hub_source
    from ..counting.counter import calibration_of, load
    from ..evaluation.calibrate import calibrate as keep
    from ..evaluation.evaluate import evaluate
    from ..resources import bundled

    path = find_adapter(adapter)
    if to is None and path.resolve().is_relative_to(bundled("adapters").resolve()):
        raise UsageError(f"'{path}' came with the package and stays as it is: give a folder of your own with --to DIR.")
    if to is None and (source := hub_source(path)) is not None:
        raise UsageError(f"'{source}' is the Hub's and stays as it is: give a folder of your own with --to DIR.")
    counter = load(path, device=device, base=base, max_pixels=max_pixels, stretch=stretch)
    found = annotated_split(counter, data, split, data_format, label, columns)
    if split == "test":
        say(messages(), _TESTED)
    elif split == "train" or (found.carved and counter.trained_on.folds):
        say(messages(), _TRAINED)
    samples = [sample for sample in found.samples if sample.points is not None]
    with progress("calibrating", len(samples)) as report:
        evaluation = evaluate(lambda image: next(counter.count_many([image], batch_size=batch_size)), samples, report)
    written = keep(counter.folder, evaluation, to)
    shown = _shown(written, evaluation, calibration_of(written))
    if as_json:
        print_json(shown)
    else:
        _print(shown, ErrorBars(calibration_of(written)))


def _shown(written: "AdapterFolder", evaluation: "Evaluation", known: "Calibration") -> dict[str, object]:
    """Return what came out, ready for JSON."""
    import numpy as np

    counts = np.quantile(known.counted, _EXAMPLES)
    intervals = [(count, known.interval(count)) for count in map(float, counts)]
    assert evaluation.metrics is not None, "annotated images were counted"
    return {
        "adapter": str(written.path),
        "images": known.images,
        "failed": [str(image) for image, _ in evaluation.failed],
        "mae": evaluation.metrics.mae,
        "growth": known.growth,
        "highest_level": known.highest_level,
        "why_no_interval": known.why_not(),
        "examples": [{"count": count} | vars(bars) for count, bars in intervals if bars is not None],
    }


def _print(shown: dict[str, object], bars: ErrorBars) -> None:
    growth = _GROWTH[str(shown["growth"])]
    typer.echo(f"{shown['images']} images, MAE {shown['mae']:.2f}; {growth}")
    examples = shown["examples"]
    if isinstance(examples, list) and examples:
        rows = table("counted", f"{100 * LEVEL:g} % error bars", right=("counted",))
        for row in examples:
            rows.add_row(f"{row['count']:,.0f}", f"{row['low']:,.0f} to {row['high']:,.0f}")
        print_table(rows)
    print_text(f"adapter {shown['adapter']}")
    if line := bars.why_not():
        say(messages(), line)
