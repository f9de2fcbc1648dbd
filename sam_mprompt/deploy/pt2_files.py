"""A captured counter as PyTorch's own file (`torch.export`): written with its metadata, and run by torch alone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch.export import ExportedProgram

from ..arrays import FloatArray
from ..counting.torch_backend import choose_device
from ..errors import RunError, UsageError
from ..files import is_file
from .fixed_tile import on_a_fixed_tile
from .metadata import KEY, Metadata
from .running import check_density


def write_pt2(program: ExportedProgram, metadata: Metadata, path: Path) -> None:
    """Write a captured counter as one file, whatever the file is called."""
    with _quietly(), path.open("wb") as file:
        torch.export.save(program, cast(IO[bytes], file), extra_files={KEY: metadata.to_json()})


class Pt2Backend:
    """A network in a file of `export --format pt2`, run by PyTorch without peft, timm and SAM's code.

    Args:
        path: the file. It holds a graph of PyTorch's operators; load it from people whom you trust.
        device: as for `load`.

    Attributes:
        metadata: what the file says of itself.
        device: where it runs.

    Raises:
        UsageError: no such file, one that is damaged or that `export` did not write, no such device.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        chosen = choose_device(device)
        self.device = str(chosen)
        if not is_file(path):
            raise UsageError(f"No file '{path}'.")
        found = {KEY: ""}
        try:
            with _quietly(), path.open("rb") as file:
                program = torch.export.load(cast(IO[bytes], file), extra_files=cast(dict[str, Any], found))
        except Exception as error:  # a zip of anybody
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"'{path}' cannot be read as a pt2 file: {reason}") from error
        if not found[KEY]:
            raise UsageError(f"'{path}' was not exported by sam-mprompt: it has no '{KEY}'.")
        own = self.metadata = Metadata.from_json(found[KEY], f"'{path}'")
        self.stride, self.size_divisor, self.mean, self.std = own.stride, own.size_divisor, own.mean, own.std
        # The guards hold what the example's size had decided, such as more than one window; the graph needs none.
        self._network = program.module(check_guards=False).to(chosen)
        self._chosen = chosen

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell (B, h, w) of normalised tiles (B, 3, H, W). Raises RunError on a full memory."""
        return on_a_fixed_tile(self._run, tiles, self.metadata.tile, self.stride)

    def _run(self, tiles: FloatArray) -> FloatArray:
        try:
            with torch.inference_mode():
                found: FloatArray = self._network(torch.from_numpy(tiles).to(self._chosen)).cpu().numpy()
        except torch.OutOfMemoryError as error:
            count, _, height, width = tiles.shape
            raise RunError(
                f"Out of memory on {self.device} with {count} tile(s) of {height}x{width}: lower batch_size or tile."
            ) from error
        return check_density(found, tiles, self.stride, "PyTorch")


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
