"""`masks`: make the pseudo masks of a dataset once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .masks_ray import masks_with_ray
from .ray_options import Actors, Engine, ImageTimeout, PartSize, RayAddress, RayOptions, To
from .ui import (
    Columns,
    Data,
    Device,
    Format,
    Label,
    MaxPixels,
    StretchOfAdapter,
    check_outputs,
    messages,
    print_text,
    progress,
    say,
)

EXAMPLE = "Example: `sam-mprompt masks --source points --data data/part_B --out masks/part_B --dilation 8`"


def masks(
    source: Annotated[Literal["boxes", "points", "segmenter", "sam"], typer.Option(help="What makes the masks.")],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the masks; what is there already is kept.")],
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    dilation: Annotated[int, typer.Option(min=1, help="points: radius of a head in pixels.")] = 8,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="segmenter: the run that trained it.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="segmenter: override a key of its run's recipe (data.scale)."),
    ] = None,
    base: Annotated[str, typer.Option(metavar="NAME|FILE", help="sam: the whole SAM, with its decoder.")] = "sam_vit_b",
    max_pixels: MaxPixels = None,
    stretch: StretchOfAdapter = None,
    device: Device = None,
    engine: Engine = "local",
    to: To = None,
    actors: Actors = None,
    part_size: PartSize = None,
    ray_address: RayAddress = None,
    image_timeout: ImageTimeout = None,
) -> None:
    """Make the pseudo masks of a dataset once, for recipes with `targets.pseudo_mask = "files"`.

    Sources: the dataset's own head boxes; its points, dilated; the segmenter of a run; or the frozen SAM, prompted with
    every point, which needs no box at all.
    """
    check_outputs(folder=out)
    ray = RayOptions(engine, to, actors, part_size, ray_address, image_timeout)
    with_ray = ray.asked({})

    from ..data.bounds import Reading
    from ..masks.how import HowToMask
    from ..masks.make import SegmenterMasks, make_masks

    how = HowToMask(source, dilation, run, tuple(overrides or ()), base)
    maker = how.maker("cpu" if with_ray else device)
    trained = isinstance(maker, SegmenterMasks) and maker.run.recipe.data.stretch
    reading = Reading(max_pixels, trained if stretch is None else stretch)
    reads: dict[str, Any] = {"data_format": data_format, "label": label, "columns": columns, "reading": reading}
    if with_ray:
        number, preview = masks_with_ray(ray, how, maker.settings, data, out, device, **reads)
        _tell(f"{number} masks", out, preview)
        return
    with progress("making masks") as report:
        made = make_masks(maker, data, out, **reads, progress=report)
    for line in made.problems:
        say(messages(), line)
    _tell(f"{made.made} masks made" + (f", {made.kept} were there" if made.kept else ""), out, made.preview)


def _tell(what: str, out: Path, preview: Path) -> None:
    print_text(f"{what}: {out}\nlook at {preview}")
    print_text(f"use them with --set targets.pseudo_mask=files --set targets.masks={out}")
