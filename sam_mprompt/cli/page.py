"""`ui`: the page in a browser."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .serve import Host, Precision, TokenFile
from .ui import Base, Device, Overrides, StretchOfAdapter, messages, say

EXAMPLE = "Example: `sam-mprompt ui adapters/demo`, then open http://127.0.0.1:8001 in a browser"

_MEGABYTE = 1_000_000

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
        typer.Argument(metavar="[[NAME=]ADAPTER...]", help="Adapters to choose from; by default the bundled demo."),
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
    from ..data.packages import needed

    for package in ("uvicorn", "fastapi", "prometheus_client", "python_multipart"):
        needed(package, "ui", "The page")
    from ..files import check_output
    from ..resources import bundled
    from ..serve.limits import Limits
    from ..serve.loading import load_all, loader, named
    from ..serve.server import check_address, token_of
    from ..ui.limits import PageLimits
    from ..ui.page import Page, Settings
    from ..ui.server import run

    sources = named(adapters or [str(bundled("adapters") / "demo")])
    token = token_of(token_file, os.environ)
    check_address(host, token, without_token=without_token)
    check_output(workspace, "folder")
    most = max(1, round(max_megabytes * _MEGABYTE))
    limits = PageLimits(
        shared=Limits(max_bytes=most, held_bytes=8 * most, max_pixels=max_pixels),
        max_video_bytes=max(1, round(max_video_megabytes * _MEGABYTE)),
    )
    load = loader(device=device, base=base, precision=precision, max_pixels=max_pixels, stretch=stretch)
    pictures = sorted((bundled("adapters") / "demo" / "examples").glob("*.jpg"))
    settings = Settings(workspace, {path.stem: path for path in pictures}, base, tuple(overrides or ()))
    console = messages()
    say(console, f"loading {', '.join(sources)}")
    shown = Page(load_all(sources, load), load, settings, limits)
    run(shown, host=host, port=port, token=token, ready=lambda address: say(console, f"open {address} in a browser"))
