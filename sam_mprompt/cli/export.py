"""`export`: write an adapter folder to share or deploy."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .ui import Adapter

EXAMPLE = "Example: `sam-mprompt export runs/shb --to adapters/shb --dtype float16`"


def export(
    adapter: Adapter,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; must not exist or be empty.")],
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="How prompt modules are stored; the decoders stay float32.")
    ] = "float32",
) -> None:
    """Write an adapter folder to share or deploy: prompt modules and regressor, without base and segmenter."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import export_adapter, read_adapter

    exported = export_adapter(read_adapter(find_adapter(adapter)), to, dtype=dtype)
    size = sum(file.stat().st_size for file in exported.path.iterdir())
    typer.echo(f"{exported.path}  {size / 1e6:.2f} MB  {exported.info.dtype}")
