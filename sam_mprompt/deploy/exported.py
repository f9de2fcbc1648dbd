"""The counter of an exported file: counts as `Counter` does, by the same code, without torch."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ..counting.any_counter import AnyCounter, Ready
from ..counting.backend import DensityBackend
from ..counting.scales import ONCE
from ..errors import UsageError, did_you_mean
from .metadata import Metadata

DEFAULT = "default"


class FileBackend(DensityBackend, Protocol):
    """A network in an exported file, whatever runs it."""

    @property
    def metadata(self) -> Metadata:
        """What the file says of itself."""

    @property
    def device(self) -> str:
        """Where it runs."""


class ExportedCounter(AnyCounter):
    """Counts people in images with the one network of a file of `export`; made by `load`.

    Threads may share one. Its only adapter is called "default".

    Attributes:
        path: the file.
        device: where it runs.
        metadata: what the file says of itself.
        backend: what runs its network.
    """

    def __init__(
        self,
        path: Path,
        backend: FileBackend,
        *,
        max_pixels: int | None = None,
        stretch: bool | None = None,
        flip: bool = False,
        scales: Iterable[float] = ONCE,
    ) -> None:
        super().__init__(max_pixels=max_pixels, stretch=stretch, flip=flip, scales=scales)
        self.path, self.backend, self.device, self.metadata = path, backend, backend.device, backend.metadata
        known: Metadata = backend.metadata
        self._only = Ready(backend, known.geometry, known.calibration, known.scope, known.trained_on)

    @property
    def active(self) -> str:
        """Name of the network that counts, "default"."""
        return DEFAULT

    @property
    def adapters(self) -> dict[str, Path]:
        """The file by the name of its network."""
        return {DEFAULT: self.path}

    def facts(self) -> dict[str, Any]:
        """Return JSON-ready facts for a user to read."""
        known = self.metadata
        intervals = known.calibration
        sides = f"multiples of {known.size_divisor} px" if known.tile is None else f"{known.tile} px"
        return {
            "path": str(self.path),
            "bytes": self.path.stat().st_size,
            "kind": self.path.suffix.removeprefix("."),
            "adapter": known.name,
            "tuning": known.method,
            "base": known.base,
            "base_fingerprint": known.base_fingerprint,
            "adapter_fingerprint": known.adapter_fingerprint,
            "precision": known.dtype,
            "sides_of_tiles": sides,
            "stride": known.stride,
            "geometry": asdict(known.geometry),
            "parity": dict(known.parity),
            "interval": intervals.why_not() or f"from {intervals.images} held-out images, errors {intervals.growth}",
            "training_saw": sorted(known.scope.ranges),
            "written_by": known.written_by,
        }

    def load_adapter(self, adapter: str | Path, *, name: str) -> None:
        """Raise UsageError: a file holds one network."""
        raise UsageError(
            f"'{self.path}' is an exported file, whose network is fixed: '{adapter}' cannot be loaded onto it as "
            f"'{name}'. Load each on its own, or the adapter folders."
        )

    def use(self, name: str) -> None:
        """Choose "default". Raises UsageError for another name."""
        self.ready(name)

    def ready(self, name: str) -> Ready:
        """Return the file's network. Raises UsageError for a name other than "default"."""
        if name != DEFAULT:
            raise UsageError(f"No adapter '{name}' is loaded.{did_you_mean(str(name), [DEFAULT])} Loaded: {DEFAULT}.")
        return self._only
