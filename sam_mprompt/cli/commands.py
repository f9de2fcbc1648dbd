"""What `count` and `evaluate` do once their arguments are parsed. Imports torch."""

import csv
import glob
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..ablation.compare import compare, run_of
from ..counting.counter import choose_device, load
from ..counting.result import CountResult, ImageLike
from ..data.formats.read import read_split
from ..data.image import images_in, read_image
from ..errors import RunError, UsageError
from ..evaluation.cost import Cost
from ..evaluation.evaluate import evaluate, print_evaluation, write_locations, write_submission, write_worst
from ..files import write_text
from ..masks.make import BoxMasks, MaskSource, PointMasks, SegmenterMasks, make_masks
from ..masks.point_prompter import PointPrompter
from ..masks.sam import SamMasks
from ..render import save_image
from ..resources import bundled

_WORST = 10


def count_images(
    adapter: str,
    paths: Sequence[str],
    *,
    csv_file: Path | None,
    as_json: bool,
    overlay: Path | None,
    batch_size: int,
    precision: Literal["no", "fp16", "bf16"],
    compiled: bool,
    base: str | None,
    device: str | None,
) -> None:
    """Count images and print a table (or JSON); optionally write a CSV file and overlays.

    Raises:
        UsageError: no image under a path, or the only one can't be read.
        RunError: some of several images can't be read; the others were counted and printed.
    """
    images = expand(paths)
    counter = load(adapter, device=device, base=base, precision=precision, compile=compiled)
    pictures = _picture_names(images, overlay) if overlay is not None else {}
    table = Table("image", "count", box=None, header_style="bold", pad_edge=False)
    table.columns[1].justify = "right"
    rows: list[dict[str, object]] = []  # not the results: their densities would fill the memory on a large folder
    failed: list[str] = []
    messages = Console(stderr=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("counting", total=len(images))

        def left_out(_image: ImageLike, error: UsageError) -> None:
            if len(images) == 1:
                raise error
            failed.append(str(error))
            progress.advance(task)

        for result in counter.count_many(images, batch_size=batch_size, on_error=left_out):
            if overlay is not None and result.image is not None:
                save_image(pictures[result.image], result.overlay())
            table.add_row(str(result.image), f"{result.count:.1f}")
            rows.append(_row(result))
            progress.advance(task)
    if csv_file is not None:
        _write_csv(csv_file, rows)
    if as_json:
        typer.echo(json.dumps({"adapter": adapter, "images": rows, "failed": failed}, indent=2))
    else:
        Console(soft_wrap=not sys.stdout.isatty()).print(table)
    if failed:
        reasons = "\n  ".join(failed)
        raise RunError(f"{len(failed)} of {len(images)} images could not be counted:\n  {reasons}")


def evaluate_adapter(
    adapter: str,
    data: Path,
    *,
    data_format: str | None,
    split: Literal["train", "val", "test"],
    per_image: bool,
    json_file: Path | None,
    submission: Path | None,
    localise: bool,
    locations: Path | None,
    masks: bool,
    worst: Path | None,
    batch_size: int,
    base: str | None,
    device: str | None,
) -> None:
    """Evaluate an adapter on a split and print or write what was asked for.

    A val split that is carved from train is the one the adapter's recipe was validated on.
    """
    counter = load(adapter, device=device, base=base)
    recipe = counter.recipe
    found = read_split(data, split, format=data_format, val_fraction=recipe.data.val_fraction, fold=recipe.data.fold)
    messages = Console(stderr=True)
    for line in found.problems.lines():
        messages.print(line, soft_wrap=True, markup=False, highlight=False)

    trained = run_of(adapter, device) if masks else None
    if masks and trained is None:
        raise UsageError(f"'{adapter}' keeps no segmenter, so it has no masks: only a run of finetune does.")

    def predict(image: Path) -> CountResult:
        result = next(counter.count_many([image], batch_size=batch_size))
        if trained is None:
            return result
        return replace(result, mask_logits=trained.predict(read_image(image)).mask_logits)

    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("evaluating", total=len(found.samples))
        evaluation = evaluate(
            predict,
            found.samples,
            lambda done, _: progress.update(task, completed=done),
            locate=localise or locations is not None,
        )
    if json_file is not None:
        record = {"adapter": adapter, "data": str(data), "split": split, **evaluation.as_dict()}
        write_text(json_file, json.dumps(record, indent=2) + "\n")
    if submission is not None:
        write_submission(submission, evaluation)
    if locations is not None:
        write_locations(locations, evaluation)
    if worst is not None:
        write_worst(worst, evaluation, predict, _WORST)
    # Files come first: a reader of stdout that leaves early (`| head`) ends the command.
    print_evaluation(evaluation, Console(), worst=len(evaluation.rows) if per_image else 5)


def compare_adapters(first: str, second: str, paths: Sequence[str], *, out: Path, device: str | None) -> None:
    """Draw two adapters' counts of the same images on one sheet and print the counts. Raises as `compare`."""
    images, messages = expand(paths), Console(stderr=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("comparing", total=len(images))
        sheet, counts, without = compare(
            first, second, images, device=device, progress=lambda done, _: progress.update(task, completed=done)
        )
    save_image(out, sheet)
    if without:
        messages.print(f"No masks: {' and '.join(without)} kept no segmenter (only runs do).", soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("image", first, second):
        table.add_column(column, overflow="fold")
    for image, one, other in counts:
        table.add_row(str(image), f"{one:.1f}", f"{other:.1f}")
    Console().print(table)
    typer.echo(f"picture {out}")


def write_masks(
    source: Literal["boxes", "points", "segmenter", "sam"],
    data: Path,
    out: Path,
    *,
    data_format: str | None,
    dilation: int,
    run: Path | None,
    overrides: Sequence[str],
    base: str,
    device: str | None,
) -> None:
    """Make pseudo masks with the chosen source and say where to look at them. Raises as `make_masks`."""
    maker: MaskSource
    if source == "segmenter":
        if run is None:
            raise UsageError("--source segmenter needs --run DIR: the run folder that trained it.")
        maker = SegmenterMasks(run, overrides, device=choose_device(device))
    elif source == "sam":
        maker = SamMasks(PointPrompter.from_checkpoint(base), base, device=choose_device(device))
    else:
        maker = PointMasks(dilation) if source == "points" else BoxMasks()
    messages = Console(stderr=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("making masks", total=None)
        made = make_masks(
            maker,
            data,
            out,
            data_format=data_format,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    kept = f", {made.kept} were there" if made.kept else ""
    typer.echo(f"{made.made} masks made{kept}: {out}\nlook at {made.preview}")
    typer.echo(f"use them with --set targets.pseudo_mask=files --set targets.masks={out}")


def print_description(described: Cost) -> None:
    """Print a table with a line per part, and what a training step keeps."""
    height, width = described.size
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"{width}x{height} px")
    for column in ("parameters M", "trained M", "in the adapter M", "multiply-adds G"):
        table.add_column(column, justify="right")
    parts = described.parts
    for name, chosen in [*((part.name, [part]) for part in parts), ("all", list(parts))]:
        millions = (sum(getattr(part, key) for part in chosen) / 1e6 for key in ("total", "trainable", "stored"))
        table.add_row(name, *(f"{number:.2f}" for number in millions), f"{sum(part.macs for part in chosen) / 1e9:.2f}")
    console = Console()
    console.print(table)
    console.print(f"kept for the backward pass: {described.activations / 1e6:.0f} MB an image", highlight=False)


def expand(paths: Sequence[str]) -> list[Path]:
    """Return the image files behind files, folders and globs, in that order and without repeats.

    Raises:
        UsageError: a path or pattern without any image.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not path.exists() and (shipped := bundled("adapters").parent / path).exists():
            path = shipped  # "adapters/demo/examples" works from anywhere, as "adapters/demo" does
        if path.is_file():
            images = [path]
        elif path.is_dir():
            images = images_in(path)
        else:
            images = sorted(Path(match) for match in glob.glob(text, recursive=True) if Path(match).is_file())
        if not images:
            raise UsageError(f"No image at '{text}': expected an image file, a folder of images or a quoted glob.")
        found |= dict.fromkeys(images)
    return list(found)


def _picture_names(images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return one overlay path per image; images of one name from several folders get their folder's name too."""
    names: dict[Path, Path] = {}
    for image in images:
        name = folder / f"{image.stem}.jpg"
        if name in names.values():
            name = folder / f"{image.parent.name}_{image.stem}.jpg"
        number = 2
        while name in names.values():
            name = folder / f"{image.parent.name}_{image.stem}_{number}.jpg"
            number += 1
        names[image] = name
    return names


def _row(result: CountResult) -> dict[str, object]:
    height, width = result.image_size
    return {"image": str(result.image), "count": result.count, "width": width, "height": height}


def _write_csv(path: Path, rows: Sequence[dict[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "count"])
    writer.writerows([row["image"], f"{row['count']:.4f}"] for row in rows)
    write_text(path, text.getvalue())
