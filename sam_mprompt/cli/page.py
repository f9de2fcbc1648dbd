"""`ui`: the page in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from .serve import Host, Precision, TokenFile
from .served import check_packages, in_bytes, limits_of, opened, token_for
from .ui import Base, Device, Overrides, StretchOfAdapter, messages, say

EXAMPLE = "Example: `sam-mprompt ui`, then open http://127.0.0.1:8001 in a browser"

SHIPPED = ("street", "dense", "demo")
"""Adapters to choose from where none is named: those of photographs first."""

PagePort = Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0 for any free one.")]
Workspace = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the page's datasets and trainings.")]
WithoutToken = Annotated[
    bool, typer.Option("--without-token", help="Answer everybody who reaches an address of this machine.")
]
PhotoMegabytes = Annotated[
    float, typer.Option("--max-megabytes", metavar="N", min=0.001, help="Most megabytes of a photograph.")
]
VideoMegabytes = Annotated[
    float, typer.Option("--max-video-megabytes", metavar="N", min=0.001, help="Most megabytes of a video.")
]
PhotoPixels = Annotated[
    int, typer.Option("--max-pixels", metavar="N", min=1, help="Most pixels decoded of a photograph.")
]


def ui(
    adapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[[NAME=]ADAPTER...]", help="Adapters to choose from; by default those that ship."),
    ] = None,
    workspace: Workspace = Path("page"),
    host: Host = "127.0.0.1",
    port: PagePort = 8001,
    token_file: TokenFile = None,
    without_token: WithoutToken = False,
    max_megabytes: PhotoMegabytes = 64.0,
    max_video_megabytes: VideoMegabytes = 512.0,
    max_pixels: PhotoPixels = 1 << 27,
    precision: Precision = "no",
    stretch: StretchOfAdapter = None,
    base: Base = None,
    device: Device = None,
    overrides: Overrides = None,
) -> None:
    """Open a page to count photographs and videos, correct heads, train on them, and compare before and after.

    It answers this machine alone. What is saved on it lies in --workspace: datasets as any other, and trainings as
    runs. --set is for its trainings. Ctrl-C ends it; a training that runs then saves its state.
    """
    check_packages("ui", "The page")
    from ..files import check_output
    from ..resources import bundled
    from ..serve.loading import named
    from ..ui.limits import PageLimits
    from ..ui.page import Page, Settings
    from ..ui.server import run

    sources = named(adapters or list(SHIPPED))
    token = token_for(host, token_file, without_token=without_token)
    check_output(workspace, "folder")
    limits = PageLimits(limits_of(max_megabytes, max_pixels), max_video_bytes=in_bytes(max_video_megabytes))
    pictures = sorted((bundled("adapters") / "demo" / "examples").glob("*.jpg"))
    settings = Settings(workspace, {path.stem: path for path in pictures}, base, tuple(overrides or ()))
    console = messages()
    say(console, f"loading {', '.join(sources)}")
    given, load = opened(sources, device=device, base=base, precision=precision, max_pixels=max_pixels, stretch=stretch)
    shown = Page(given, load, settings, limits)
    run(shown, host=host, port=port, token=token, ready=lambda address: say(console, f"open {address} in a browser"))
