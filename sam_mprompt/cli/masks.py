"""`masks`: make the pseudo masks of a dataset once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UsageError
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
    progress,
    say,
)

if TYPE_CHECKING:
    from ..masks.make import MaskSource

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
) -> None:
    """Make the pseudo masks of a dataset once, for recipes with `targets.pseudo_mask = "files"`.

    Sources: the dataset's own head boxes; its points, dilated; the segmenter of a run; or the frozen SAM, prompted with
    every point, which needs no box at all.
    """
    check_outputs(folder=out)

    from ..counting.torch_backend import choose_device
    from ..data.bounds import Reading
    from ..masks.make import BoxMasks, PointMasks, SegmenterMasks, make_masks
    from ..masks.point_prompter import PointPrompter
    from ..masks.sam import SamMasks

    maker: MaskSource
    trained = False
    if source == "segmenter":
        if run is None:
            raise UsageError("--source segmenter needs --run DIR: the run folder that trained it.")
        maker = SegmenterMasks(run, overrides or (), device=choose_device(device))
        trained = maker.run.recipe.data.stretch
    elif source == "sam":
        maker = SamMasks(PointPrompter.from_checkpoint(base), base, device=choose_device(device))
    else:
        maker = PointMasks(dilation) if source == "points" else BoxMasks()
    with progress("making masks") as report:
        reading = Reading(max_pixels, trained if stretch is None else stretch)
        made = make_masks(
            *(maker, data, out),
            data_format=data_format,
            label=label,
            columns=columns,
            reading=reading,
            progress=report,
        )
    for line in made.problems:
        say(messages(), line)
    kept = f", {made.kept} were there" if made.kept else ""
    typer.echo(f"{made.made} masks made{kept}: {out}\nlook at {made.preview}")
    typer.echo(f"use them with --set targets.pseudo_mask=files --set targets.masks={out}")
