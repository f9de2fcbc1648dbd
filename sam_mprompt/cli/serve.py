"""`serve`: count over HTTP."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .served import check_packages, limits_of, opened, token_for
from .ui import Base, Device, StretchOfAdapter

EXAMPLE = "Example: `sam-mprompt serve station=runs/shb gate=adapters/gate-7 --port 8000`"

Adapters = Annotated[
    list[str], typer.Argument(metavar="[NAME=]ADAPTER...", help="Adapters, the first of which counts by default.")
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen at; by default this machine's alone.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 for any free one, which the log tells.")]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the bearer token; else $SAM_MPROMPT_TOKEN.")
]
WithoutToken = Annotated[
    bool, typer.Option("--without-token", help="Count for everybody who reaches an address of this machine.")
]
MaxBatch = Annotated[int, typer.Option(min=1, help="Most images that are counted at once.")]
Window = Annotated[float, typer.Option(metavar="MS", min=0, max=1000, help="Time that an image waits for others.")]
Queue = Annotated[int, typer.Option(min=1, help="Most requests at a time; others are told to try again.")]
MaxMegabytes = Annotated[float, typer.Option(metavar="N", min=0.001, help="Most megabytes of an image file.")]
MaxPixels = Annotated[int, typer.Option(metavar="N", min=1, help="Most pixels decoded of an image.")]
Timeout = Annotated[float, typer.Option(metavar="S", min=0.1, help="Seconds from a request to its answer.")]
Precision = Annotated[
    Literal["no", "fp16", "bf16"], typer.Option(help="Mixed precision on a GPU; a CPU counts in float32.")
]


def serve(
    adapters: Adapters,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_file: TokenFile = None,
    without_token: WithoutToken = False,
    max_batch: MaxBatch = 8,
    batch_window: Window = 5.0,
    queue: Queue = 64,
    max_megabytes: MaxMegabytes = 32.0,
    max_pixels: MaxPixels = 1 << 26,
    timeout: Timeout = 30.0,
    precision: Precision = "no",
    stretch: StretchOfAdapter = None,
    base: Base = None,
    device: Device = None,
) -> None:
    """Count over HTTP: POST an image to /count, and get count, interval, points, regions and overlay.

    Adapters of one base share it. Requests are counted together; too many, too large and too slow ones are refused.
    SIGTERM answers what was let in. Logs are lines of JSON on stderr. /openapi.json says the rest.
    """
    check_packages("serve", "A service")
    from ..serve.loading import named
    from ..serve.logs import json_lines
    from ..serve.server import run
    from ..serve.service import Service

    sources = named(adapters)
    token = token_for(host, token_file, without_token=without_token)
    window = batch_window / 1000
    limits = limits_of(max_megabytes, max_pixels, max_batch=max_batch, window=window, queue=queue, timeout=timeout)
    served, _ = opened(sources, device=device, base=base, precision=precision, max_pixels=max_pixels, stretch=stretch)
    with json_lines(sys.stderr):
        run(Service(served, limits), host=host, port=port, token=token)
