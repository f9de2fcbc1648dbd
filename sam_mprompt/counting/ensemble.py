"""Several counters as one: the mean of their densities. Free of torch."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UsageError, did_you_mean
from .any_counter import AnyCounter, Ready
from .averaged import Averaged
from .intervals import Calibration
from .scales import ONCE

NAME = "ensemble"
_UNKNOWN = Calibration(missing="several adapters together have no calibration: it is of each alone", for_good=True)


class Ensemble(AnyCounter):
    """Counts with the mean density of several networks, each of which sees every image; made by `load` of a list.

    It takes the time of all of them. Warnings and the reading of data are those of the first.

    Args:
        parts: the networks, each with where it comes from.

    Raises:
        UsageError: networks that see images differently.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Path, Ready]],
        *,
        max_pixels: int | None = None,
        stretch: bool | None = None,
        flip: bool = False,
        scales: Iterable[float] = ONCE,
    ) -> None:
        super().__init__(max_pixels=max_pixels, stretch=stretch, flip=flip, scales=scales)
        backend = Averaged([ready.backend for _, ready in parts])
        self._path, first = parts[0]
        for path, ready in parts[1:]:
            if ready.geometry != first.geometry:
                raise UsageError(
                    "Only adapters that resize and cut images alike can be averaged: expected "
                    f"{first.geometry} as of '{self._path}', got {ready.geometry} of '{path}'."
                )
        self._together = Ready(backend, first.geometry, _UNKNOWN, first.scope, first.trained_on)

    @property
    def active(self) -> str:
        """Name of what counts, "ensemble"."""
        return NAME

    @property
    def adapters(self) -> dict[str, Path]:
        """Where the first of them comes from, under their common name."""
        return {NAME: self._path}

    def load_adapter(self, adapter: str | Path, *, name: str) -> None:
        """Raise UsageError: what is averaged is chosen when it is loaded."""
        raise UsageError(f"'{adapter}' cannot be loaded beside adapters that count together: expected no '{name}'.")

    def use(self, name: str) -> None:
        """Choose "ensemble". Raises UsageError for another name."""
        self.ready(name)

    def ready(self, name: str) -> Ready:
        """Return the networks as one. Raises UsageError for a name other than "ensemble"."""
        if name != NAME:
            raise UsageError(f"No adapter '{name}' is loaded.{did_you_mean(str(name), [NAME])} Loaded: {NAME}.")
        return self._together
