"""`data`: look at datasets before training."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ..errors import RunError
from ..recipe.limits import MOST_SEEDS
from .data_report import print_conversion, print_report
from .ui import AsJson, Columns, Format, Label, MaxPixels, Stretch, print_json, print_text, progress

data = typer.Typer(help="Look at datasets before training.", no_args_is_help=True)


@data.command("check", epilog="Example: `sam-mprompt data check data/part_B --preview previews/`")
def check_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Dataset folder.")],
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    preview: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw annotated images into this folder.")] = None,
    max_pixels: MaxPixels = None,
    stretch: Stretch = False,
    as_json: AsJson = False,
) -> None:
    """Read a dataset completely: heads per split, what is missing, unreadable or outside, pictures to look at.

    Exits with 1 where a training would learn from less, or from other, than the files seem to hold.
    """
    from ..data.bounds import Reading
    from ..data.check import check, write_previews
    from ..files import check_output

    if preview is not None:
        check_output(preview, "folder")
    reading = Reading(max_pixels, stretch)
    with progress("decoding images") as shown:
        report = check(directory, data_format, label=label, columns=columns, reading=reading, progress=shown)
    if preview is not None:
        write_previews(report, preview, reading=reading)
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report, Console())
    if report.faults:
        raise RunError(f"'{report.root}' is not fit to train on as it is: {'; '.join(report.faults)}.")


@data.command("convert", epilog="Example: `sam-mprompt data convert data/part_B --to label-studio --split train`")
def convert_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Dataset folder.")],
    to: Annotated[str, typer.Option(metavar="TOOL", help="What it is written for: labelme, cvat, coco, yolo, ...")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder; by default DIR-TOOL beside the dataset.")
    ] = None,
    data_format: Format = None,
    label: Label = None,
    columns: Columns = "",
    split: Annotated[
        Literal["train", "val", "test"] | None, typer.Option(help="Write this split alone, undivided.")
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Link to the images instead of copying them.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that holds something; replaces files.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset of any format that is read as one that a tool for annotating reads, with its images.

    Heads are called "head". A tool without points gets a box around each, with the head in its middle. Exits with 1
    where annotated images had to be left out.
    """
    from ..data.convert import convert
    from ..files import check_output

    if out is not None:
        check_output(out, "folder")
    with progress("writing images") as shown:
        done = convert(
            directory,
            to,
            out,
            format=data_format,
            label=label,
            columns=columns,
            split=split,
            link=link,
            overwrite=overwrite,
            progress=shown,
        )
    if as_json:
        print_json(done.as_dict())
    else:
        print_conversion(done, Console())
    if done.left_out:
        raise RunError(f"{done.left_out} annotated images of '{done.root}' were left out.")


@data.command("unpack", epilog="Example: `sam-mprompt data unpack photos`")
def unpack_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of labelme's .json files.")],
) -> None:
    """Write the images that labelme's files hold (its `imageData`) beside them, where there are none."""
    from ..data.unpack import unpack

    with progress("unpacking") as shown:
        written = unpack(directory, shown)
    print_text(f"{len(written):,} images written in {directory}")


@data.command("synthesize", epilog="Example: `sam-mprompt data synthesize data/scenes --sheet scenes.png`")
def synthesize_data(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.")],
    train: Annotated[int, typer.Option(min=1, max=1_000_000, help="Scenes for training.")] = 100,
    val: Annotated[int, typer.Option(min=1, max=1_000_000, help="Scenes for validation.")] = 20,
    test: Annotated[int, typer.Option(min=1, max=1_000_000, help="Scenes for testing.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEEDS - 1, help="Which series of scenes.")] = 0,
    noise: Annotated[float, typer.Option(min=0, max=1, help="Annotation noise in train, share of a head.")] = 0.0,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw a contact sheet of train.")] = None,
) -> None:
    """Write procedural crowd scenes as a dataset of the 'points' format: to look at, count and train on."""
    from ..contact_sheet import contact_sheet
    from ..data.scenes.crowd import crowd_scene, write_dataset
    from ..files import check_output
    from ..render import PICTURES, save_image

    check_output(directory, "folder")
    if sheet is not None:
        check_output(sheet, suffixes=PICTURES)
    write_dataset(directory, seed=seed, splits={"train": train, "val": val, "test": test}, annotation_noise=noise)
    if sheet is not None:
        scenes = [crowd_scene(seed, index) for index in range(min(16, train))]
        captions = [f"{len(scene.points)} heads" for scene in scenes]
        save_image(sheet, contact_sheet([scene.image for scene in scenes], captions=captions))
    print_text(str(directory))
