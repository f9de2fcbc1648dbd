"""`export`: write an adapter folder to share, or one file that counts without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UsageError
from .ui import Adapter, Base, check_outputs, messages, print_table, print_text, progress, table

if TYPE_CHECKING:
    from ..adapter.folder import AdapterFolder
    from ..deploy.export import Exported

EXAMPLE = "Example: `sam-mprompt export runs/shb --format onnx --to shb.onnx`"

Format = Literal["folder", "onnx", "openvino", "pt2"]
_KINDS = {f".{kind}": kind for kind in ("onnx", "openvino", "pt2")}


def export(
    adapter: Adapter,
    to: Annotated[
        Path,
        typer.Option(metavar="DIR|FILE", help="New or empty folder to write; or FILE.onnx, FILE.openvino, FILE.pt2."),
    ],
    export_format: Annotated[
        Format | None,
        typer.Option("--format", help="folder: goes onto its base; onnx, openvino, pt2: one file with its base."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16", "int8"],
        typer.Option(help="Of a folder's prompt modules (float32, float16), or of a file's network."),
    ] = "float32",
    tile: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Fix a file's tiles to N x N px; by default sides are free.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Compare a file with PyTorch on these, not on painted crowds; repeatable."),
    ] = None,
    base: Base = None,
) -> None:
    """Write an adapter folder to share, without base and segmenter; or one file with the base, to deploy.

    A file counts without torch: `count`, `evaluate` and `load` take it as they take a folder. Before it stands, its
    counts are compared with PyTorch's.
    """
    kind = export_format or _KINDS.get(to.suffix, "folder")
    if kind == "folder":
        _check_folder(dtype, tile, images)
        check_outputs(folder=to)
    else:
        from ..files import check_output

        check_output(to, suffixes=(f".{kind}",))

    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder
    from ..adapter.loading import check_folder

    found = AdapterFolder.read(find_adapter(adapter))
    if kind == "folder":
        check_folder(found)
        exported = found.export(to, dtype="float16" if dtype == "float16" else "float32")
        print_text(f"{exported.path}  {exported.size_on_disk() / 1e6:.2f} MB  {exported.info.dtype}")
    else:
        _print(_file(found, to, kind, dtype, tile, images or [], base))


def _check_folder(dtype: str, tile: int | None, images: list[str] | None) -> None:
    """Refuse what only a file can be, or has."""
    given = {f"--dtype {dtype}": dtype in ("bfloat16", "int8"), "--tile": tile is not None, "--images": bool(images)}
    if only := [name for name, value in given.items() if value]:
        kind = "openvino" if dtype == "bfloat16" else "onnx"
        raise UsageError(f"{only[0]} is for a file: give --format {kind} and --to FILE.{kind}.")


def _file(
    folder: "AdapterFolder", to: Path, kind: str, dtype: str, tile: int | None, images: list[str], base: str | None
) -> "Exported":
    from ..deploy.export import export as write
    from .image_paths import expand

    chosen = expand(images).images if images else []
    with progress("exporting", console=messages()) as report:
        return write(
            folder, to, kind=kind, dtype=dtype, tile=tile, base=base, images=chosen,
            progress=lambda _step, done, of: report(done, of),
        )  # fmt: skip


def _print(exported: "Exported") -> None:
    parity, size = exported.parity, exported.path.stat().st_size
    print_text(f"{exported.path}  {size / 1e6:.2f} MB  {exported.metadata.dtype}")
    rows = table("compared with PyTorch", "largest difference", right=("largest difference",))
    rows.add_row("images", f"{parity.images}")
    rows.add_row("density, of the fullest cell", f"{parity.density:.1e}")
    rows.add_row("count of an image", f"{parity.count:.1e}")
    rows.add_row("counts of all images", f"{parity.total:.1e}")
    if parity.tiles is not None:
        rows.add_row("the same with the adapter's own tiles", f"{parity.tiles:.1e}")
    print_table(rows)
