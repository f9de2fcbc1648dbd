"""`export`: write an adapter folder to share or deploy."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .ui import Adapter, check_outputs

EXAMPLE = "Example: `sam-mprompt export runs/shb --to adapters/shb --dtype float16`"


def export(
    adapter: Adapter,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; must not exist or be empty.")],
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="How prompt modules are stored; the decoders stay float32.")
    ] = "float32",
) -> None:
    """Write an adapter folder to share or deploy: prompt modules and regressor, without base and segmenter."""
    check_outputs(folder=to)

    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder

    exported = AdapterFolder.read(find_adapter(adapter)).export(to, dtype=dtype)
    typer.echo(f"{exported.path}  {exported.size_on_disk() / 1e6:.2f} MB  {exported.info.dtype}")
