"""The options of doing a command's work with Ray, in many processes and on many machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from ..errors import UsageError

_PANEL = "Many machines"
PART_SIZE = 256
"""Images a part: what a dying process loses, and one file of the table."""
IMAGE_SECONDS = 1800.0
"""Generous, as an image that is only large shall have its count; one that hangs costs four times as long."""

_INSTEAD = {"--points": " --points-column puts the heads into the table."}

Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(rich_help_panel=_PANEL, help="ray works in many processes, on many machines; it needs --to."),
]
To = Annotated[
    str | None,
    typer.Option(metavar="DIR|URL", rich_help_panel=_PANEL, help="Where the table goes, and goes on."),
]
Actors = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", rich_help_panel=_PANEL, help="Processes; by default one a GPU or core."),
]
PartSize = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", rich_help_panel=_PANEL, help=f"Images that are done or not together; else {PART_SIZE}."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", rich_help_panel=_PANEL, help="Running Ray cluster, or auto; else this machine."),
]
ImageTimeout = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=1e6,
        metavar="SECONDS",
        rich_help_panel=_PANEL,
        help=f"Processes end over an image that takes longer, and it is set aside; else {IMAGE_SECONDS:g}.",
    ),
]
PointsColumn = Annotated[
    bool, typer.Option("--points-column", rich_help_panel=_PANEL, help="Also where the heads are, as columns x and y.")
]


@dataclass(frozen=True)
class RayOptions:
    """What the options say, by their names; None where one was not given."""

    engine: Literal["local", "ray"] = "local"
    to: str | None = None
    actors: int | None = None
    part_size: int | None = None
    ray_address: str | None = None
    image_timeout: float | None = None
    points_column: bool = False

    def asked(self, elsewhere: Mapping[str, object]) -> bool:
        """Whether Ray is to do it.

        Args:
            elsewhere: options that only the local engine has, with their values; None and False where not given.

        Raises:
            UsageError: options of both engines, or no folder for the tables.
        """
        if self.engine == "local":
            without = vars(RayOptions())
            if given := [name for name, value in vars(self).items() if value != without[name]]:
                raise UsageError(f"--{given[0].replace('_', '-')} needs --engine ray.")
            return False
        if self.to is None:
            raise UsageError("--engine ray needs --to DIR: the folder, or s3://bucket/folder, that the table goes to.")
        if others := [name for name, value in elsewhere.items() if value is not None and value is not False]:
            raise UsageError(
                f"--engine ray makes tables of counts: expected no {others[0]}, which the local engine has."
                f"{_INSTEAD.get(others[0], '')}"
            )
        return True
