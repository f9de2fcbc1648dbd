"""SAM's absolute positions at other image sizes than they were made for, computed once per size."""

import threading

import torch.nn.functional as F
from torch import Tensor

CACHED_SIZES = 8


def resample(table: Tensor, size: tuple[int, int]) -> Tensor:
    """Stretch a position table (1, G, G, C) to (1, *size, C): bicubic and antialiased, as timm does."""
    planes = table.permute(0, 3, 1, 2).float()
    return F.interpolate(planes, size, mode="bicubic", antialias=True).permute(0, 2, 3, 1).to(table.dtype)


class ResampledTables:
    """A frozen position table at the sizes that were asked for last; forgotten as soon as the table changes.

    It is not a buffer, so it is in no state dict, and copies of an encoder start without it.
    """

    def __init__(self) -> None:
        self._source: Tensor | None = None
        self._version = 0
        self._tables: dict[tuple[int, int], Tensor] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["ResampledTables"], tuple[()]]:
        return ResampledTables, ()

    def __len__(self) -> int:
        return len(self._tables)

    def get(self, table: Tensor, size: tuple[int, int]) -> Tensor:
        """Return `resample(table, size)`, computed now or before."""
        with self._lock:  # threads count with one encoder
            return self._get(table, size)

    def _get(self, table: Tensor, size: tuple[int, int]) -> Tensor:
        # Another device, dtype or state dict changes the address (the held alias keeps it from being used again),
        # a change in place the version.
        if self._source is None or self._source.data_ptr() != table.data_ptr() or self._version != table._version:
            self._source, self._version, self._tables = table.detach(), table._version, {}
        if size not in self._tables:
            while len(self._tables) >= CACHED_SIZES:
                self._tables.pop(next(iter(self._tables)))
            self._tables[size] = resample(table, size)
        return self._tables[size]
