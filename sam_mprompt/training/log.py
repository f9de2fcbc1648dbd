"""What a training leaves behind of its course: metrics.jsonl, and how much memory it took."""

import json
import resource
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from ..files import appending, write_with


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in MB: of the GPU when training on one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


class MetricsLog:
    """Appends records to a file of JSON lines.

    Args:
        path: the file.
        kept_lines: lines of an earlier session that still hold; later ones are dropped.
        active: False on all processes but the main one, which alone writes.

    Raises:
        RunError: the disk is full or not writable, also from `append`; no half of a line stays.
    """

    def __init__(self, path: Path, *, kept_lines: int, active: bool = True) -> None:
        self.active, self.lines, self._open = active, kept_lines, ExitStack()
        if not active:
            return
        # As bytes: a line that the disk has damaged is kept as it is, and is no reason not to go on.
        old = path.read_bytes().splitlines(keepends=True)[:kept_lines] if path.is_file() else []
        self.lines = len(old)
        write_with(path, lambda temporary: temporary.write_bytes(b"".join(old)))
        self._add = self._open.enter_context(appending(path, keep=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record of flat JSON values (`epoch` 1-based)."""
        if self.active:
            self._add(json.dumps(record) + "\n")
            self.lines += 1
