"""`evaluate`: count an annotated split and compare."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from ..errors import UsageError
from .count_regions import RegionsFile
from .error_bars import LEVEL, ErrorBars, Level, check_level
from .evaluate_ray import evaluated_with_ray
from .evaluation_tables import print_evaluation, print_regions
from .ray_options import Actors, Engine, ImageTimeout, PartSize, RayAddress, RayOptions, To
from .together import Flip, Means, Scales, Together
from .ui import (
    Adapter,
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
    progress,
    recorded,
    say,
)

if TYPE_CHECKING:
    from ..counting.any_counter import AnyCounter
    from ..counting.result import CountResult
    from ..data.formats.entries import Split as SplitData
    from ..data.sample import Sample
    from ..evaluation.evaluate import Evaluation
    from ..evaluation.metrics import Metrics
    from ..evaluation.regions import EvaluatedRegions
    from ..training.trained import TrainedRun

EXAMPLE = "Example: `sam-mprompt evaluate runs/shb --data data/part_B --json shb.json --worst worst/`"

Split = Literal["train", "val", "test"]

Submission = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write NWPU's submission: a line `id count` per image.")
]
Localise = Annotated[
    bool, typer.Option("--localise", help="Also locate heads: precision, recall, F1 (NWPU's rule with boxes).")
]
Locations = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write NWPU's localisation: `id N x1 y1 ...` per image.")
]
Masks = Annotated[
    bool, typer.Option("--masks", help="Also mask IoU with head boxes, of a run (its last weights' segmenter).")
]
Worst = Annotated[Path | None, typer.Option(metavar="DIR", help="Also draw the worst cases into this folder.")]

_TRAINED = (
    "The training used every image (train.folds), if it was on this folder: these errors are of images that it knows. "
    "Those of images that it did not know are what the training told in the end."
)
_WORST = 10


def evaluate(
    adapter: Adapter,
    data: Data,
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    together: Together = None,
    flip: Flip = False,
    scales: Scales = None,
    split: Annotated[Split, typer.Option(help="Which split to count.")] = "test",
    per_image: Annotated[bool, typer.Option("--per-image", help="Print every image, not only the worst five.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write all as JSON.")] = None,
    submission: Submission = None,
    localise: Localise = False,
    locations: Locations = None,
    masks: Masks = False,
    worst: Worst = None,
    regions: RegionsFile = None,
    level: Level = LEVEL,
    batch_size: BatchSize = 1,
    max_pixels: MaxPixels = None,
    stretch: StretchOfAdapter = None,
    base: Base = None,
    device: Device = None,
    engine: Engine = "local",
    to: To = None,
    actors: Actors = None,
    part_size: PartSize = None,
    ray_address: RayAddress = None,
    image_timeout: ImageTimeout = None,
) -> None:
    """Count an annotated split: MAE, RMSE, NAE, the table per image, groups, and pictures of the worst cases.

    A val split that is carved from train is the one the adapter's recipe was validated on.
    """
    check_outputs(json_file, submission, locations, folder=worst)
    check_level(level)
    from ..deploy.load import load

    means, parts, adapter = Means.of(together, flip, scales), _parts(regions), recorded(adapter)
    names = means.adapters(adapter)
    ray = RayOptions(engine, to, actors, part_size, ray_address, image_timeout)
    with_ray = ray.asked({"--localise": localise, "--locations": locations, "--masks": masks, "--regions": regions})
    how: dict[str, Any] = {"base": base, "max_pixels": max_pixels, "stretch": stretch, **means.how}
    counter = load(names, device=device, **how)
    bars = ErrorBars(counter.calibration, level, of_parts=parts.regions.ignores)
    samples = parts.kept(_samples(counter, data, split, data_format, label, columns))
    predict = parts.counted(_predictor(counter, _with_segmenter(adapter, device) if masks else None, batch_size))
    asked = {"data": str(data), "split": split}
    if with_ray:
        how |= {"level": level, "batch_size": batch_size}
        evaluation = evaluated_with_ray(ray, names, samples, asked, device, **how)
    else:
        evaluation = _evaluated(predict, samples, locate=localise or locations is not None, level=level)
    if json_file is not None:
        told = {"adapter": adapter, **asked, "why_no_interval": bars.missing} | means.record()
        _write_json(json_file, told | evaluation.as_dict() | _json_of(parts.metrics(samples)))
    _write_submissions(evaluation, submission, locations)
    _draw_worst(worst, evaluation, predict, counter)
    _print(evaluation, bars, parts.metrics(samples), per_image=per_image)  # after the files: `| head` ends the command


def _evaluated(
    predict: "Callable[[Path], CountResult]", samples: "Sequence[Sample]", *, locate: bool, level: float
) -> "Evaluation":
    from ..evaluation.evaluate import evaluate as compare_counts

    with progress("evaluating", len(samples)) as report:
        return compare_counts(predict, samples, report, locate=locate, level=level)


def _write_submissions(evaluation: "Evaluation", submission: Path | None, locations: Path | None) -> None:
    from ..evaluation.submissions import write_locations, write_submission

    if submission is not None:
        write_submission(submission, evaluation)
    if locations is not None:
        write_locations(locations, evaluation)


def _draw_worst(
    folder: Path | None, evaluation: "Evaluation", predict: "Callable[[Path], CountResult]", counter: "AnyCounter"
) -> None:
    from ..evaluation.worst import write_worst

    if folder is not None:
        write_worst(folder, evaluation, predict, _WORST, reading=counter.reading)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    from ..files import write_text

    write_text(file, json.dumps(content, indent=2) + "\n")


def _samples(
    counter: "AnyCounter", data: Path, split: Split, data_format: str | None, label: str | None, columns: str
) -> "Sequence[Sample]":
    """Return the split's samples, and say where the training knew them."""
    found = annotated_split(counter, data, split, data_format, label, columns)
    if split == "val" and found.carved and counter.trained_on.folds:
        say(messages(), _TRAINED)
    return found.samples


def _parts(regions: Path | None) -> "EvaluatedRegions":
    """Return the regions of a file; none at all without one."""
    from ..counting.regions import Regions
    from ..evaluation.regions import EvaluatedRegions
    from .count_regions import CountedRegions

    return EvaluatedRegions(Regions(()) if regions is None else CountedRegions(regions).regions)


def _print(evaluation: "Evaluation", bars: ErrorBars, regions: "Mapping[str, Metrics]", *, per_image: bool) -> None:
    print_evaluation(evaluation, Console(), bars.why_not(), worst=len(evaluation.rows) if per_image else 5)
    print_regions(regions, Console())


def _json_of(regions: "Mapping[str, Metrics]") -> dict[str, Any]:
    """Return what JSON says of regions, nothing without any."""
    return {"regions": {name: asdict(found) for name, found in regions.items()}} if regions else {}


def annotated_split(
    counter: "AnyCounter", data: Path, split: Split, data_format: str | None, label: str | None, columns: str
) -> "SplitData":
    """Read a split's samples; says what was left out of them. The recipe's label counts where the data has it."""
    from ..data.formats.read import read_split

    own, reading = counter.trained_on, counter.reading
    read = partial(
        read_split,
        data,
        split,
        format=data_format,
        val_fraction=own.val_fraction,
        fold=own.fold,
        columns=columns,
        reading=reading,
    )
    try:
        found = read(label=label or own.label or None)
    except UsageError as error:
        if label or not own.label or error.about not in ("labels", "no labels"):
            raise
        found = read(label=None)
        say(messages(), f"'{data}' has no label '{own.label}', the recipe's.")
    for line in found.problems.lines():
        say(messages(), line)
    return found


def _with_segmenter(adapter: str, device: str | None) -> "TrainedRun":
    """Return the run that an adapter stands in. Raises UsageError where there is none, or none that makes masks."""
    from ..ablation.compare import run_of

    if run := run_of(adapter, device):
        return run
    raise UsageError(f"'{adapter}' keeps no segmenter, so it has no masks: only a run of finetune does.")


def _predictor(counter: "AnyCounter", run: "TrainedRun | None", batch_size: int) -> "Callable[[Path], CountResult]":
    """Return what counts an image; its mask is that of a run, where one is given."""
    from ..data.image import read_image

    def predict(image: Path) -> "CountResult":
        result = next(counter.count_many([image], batch_size=batch_size))
        if run is None:
            return result
        return replace(result, mask_logits=run.predict(read_image(image, counter.reading)).mask_logits)

    return predict
