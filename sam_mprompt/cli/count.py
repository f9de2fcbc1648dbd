"""`count`: count the people in images."""

import csv
import glob
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import RunError, UsageError
from ..resources import bundled
from .ui import Adapter, Base, BatchSize, Device, Paths, print_json, print_table, progress, table

if TYPE_CHECKING:
    from ..counting.result import CountResult, ImageLike

EXAMPLE = "Example: `sam-mprompt count runs/shb street.jpg photos/ 'cam-*/*.png' --overlay out/`"


def count(
    adapter: Adapter,
    paths: Paths,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write image,count.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw heat maps with the count into this folder.")
    ] = None,
    batch_size: BatchSize = 1,
    precision: Annotated[
        Literal["no", "fp16", "bf16"], typer.Option(help="Mixed precision on a GPU; a CPU counts in float32.")
    ] = "no",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Translate the encoder first: for many images beyond a tile.")
    ] = False,
    base: Base = None,
    device: Device = None,
) -> None:
    """Count the people in images."""
    from ..counting.counter import load
    from ..files import write_text
    from ..render import save_image

    images = expand(paths)
    counter = load(adapter, device=device, base=base, precision=precision, compile=compiled)
    pictures = _picture_names(images, overlay) if overlay is not None else {}
    shown = table("image", "count", right=("count",))
    rows: list[dict[str, object]] = []  # not the results: their densities would fill the memory on a large folder
    failed: list[str] = []

    def left_out(_image: "ImageLike", error: UsageError) -> None:
        if len(images) == 1:
            raise error
        failed.append(str(error))

    with progress("counting", len(images)) as report:
        for result in counter.count_many(images, batch_size=batch_size, on_error=left_out):
            if overlay is not None and result.image is not None:
                save_image(pictures[result.image], result.overlay())
            shown.add_row(str(result.image), f"{result.count:.1f}")
            rows.append(_row(result))
            report(len(rows) + len(failed), len(images))
    if csv_file is not None:
        write_text(csv_file, _csv(rows))
    if as_json:
        print_json({"adapter": adapter, "images": rows, "failed": failed})
    else:
        print_table(shown)
    if failed:
        reasons = "\n  ".join(failed)
        raise RunError(f"{len(failed)} of {len(images)} images could not be counted:\n  {reasons}")


def expand(paths: Sequence[str]) -> list[Path]:
    """Return the image files behind files, folders and globs, in that order and without repeats.

    Raises:
        UsageError: a path or pattern without any image.
    """
    from ..data.image import images_in

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


def _row(result: "CountResult") -> dict[str, object]:
    height, width = result.image_size
    return {"image": str(result.image), "count": result.count, "width": width, "height": height}


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "count"])
    writer.writerows([row["image"], f"{row['count']:.4f}"] for row in rows)
    return text.getvalue()
