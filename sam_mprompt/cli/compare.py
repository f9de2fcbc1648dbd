"""`compare`: two counters on the same images, on one sheet."""

from pathlib import Path
from typing import Annotated

import typer

from .image_paths import expand
from .ui import Adapter, Device, Paths, messages, print_table, print_text, progress, say, table

EXAMPLE = "Example: `sam-mprompt compare runs/shb runs/shb-2 street.jpg --out sheet.jpg`"


def compare(
    first: Adapter,
    second: Annotated[str, typer.Argument(metavar="ADAPTER", help="Another one.")],
    paths: Paths,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The sheet, .jpg or .png.")] = Path("compare.jpg"),
    device: Device = None,
) -> None:
    """Draw two counters on the same images: both densities with counts, and where runs' masks differ."""
    from ..files import check_output
    from ..render import PICTURES, save_image

    check_output(out, suffixes=PICTURES)
    found = expand(paths)
    images = found.images
    if found.line:
        say(messages(), found.line)

    from ..ablation.compare import compare as draw

    with progress("comparing", len(images)) as report:
        sheet, counts, without = draw(first, second, images, device=device, progress=report)
    save_image(out, sheet)
    if without:
        say(messages(), f"No masks: {' and '.join(without)} kept no segmenter (only runs do).")
    shown = table("image", first, second)
    for image, one, other in counts:
        shown.add_row(str(image), f"{one:.1f}", f"{other:.1f}")
    print_table(shown)
    print_text(f"picture {out}")
