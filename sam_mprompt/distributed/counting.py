"""Counting as a work: an image becomes a row with its count, error bar and size, or with the reason why not."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..counting.counted import counted
from ..counting.intervals import LEVEL
from ..counting.scales import ONCE
from ..data.image import read_header
from ..deploy.load import is_exported, load
from ..errors import RunError, SamMpromptError, UsageError
from ..files import sha256_of
from .images import Opened, opened
from .job import IMAGE, QUARANTINED
from .part import Row

if TYPE_CHECKING:
    from ..counting.result import CountResult
    from ..counting.torch_backend import Precision


@dataclass(frozen=True)
class HowToCount:
    """With what images are counted.

    Attributes:
        adapters: as `deploy.load.load` takes them; several count together.
        base, precision, compile, max_pixels, stretch, flip, scales: as `load` takes them.
        batch_size: tiles per call of the network.
        level: of the error bars.
        points: whether rows have where the heads are.
    """

    adapters: tuple[str, ...]
    base: str | None = None
    precision: "Precision" = "no"
    compile: bool = False
    max_pixels: int | None = None
    stretch: bool | None = None
    flip: bool = False
    scales: tuple[float, ...] = ONCE
    batch_size: int = 1
    level: float = LEVEL
    points: bool = False

    def request(self) -> dict[str, Any]:
        """Return what counts depend on, as JSON holds it. Raises UsageError where there is no such adapter."""
        fingerprints = [fingerprint(adapter) for adapter in self.adapters]
        return asdict(self) | {"adapters": list(self.adapters), "fingerprints": fingerprints}


def fingerprint(adapter: str) -> str:
    """Return the SHA-256 of an exported file, or of the file in an adapter folder that holds those of all others.

    Raises:
        UsageError: no such adapter.
    """
    if is_exported(adapter):
        return sha256_of(Path(adapter))
    from ..adapter.counter_file import COUNTER
    from ..adapter.find import find_adapter

    return sha256_of(find_adapter(adapter) / COUNTER)


_COLUMNS = (
    (IMAGE, pa.string()),
    ("count", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("seconds", pa.float32()),
    ("warnings", pa.list_(pa.string())),
    (QUARANTINED, pa.string()),
)
_POINTS = ("x", pa.list_(pa.float32())), ("y", pa.list_(pa.float32()))


class Counting:
    """Counts images with a counter that is loaded once.

    Args:
        how: with what.
        fingerprints: of the adapters, as the machine that began the job knows them.
        device: as `load` takes it.

    Raises:
        UsageError: the counter cannot be loaded here, or an adapter of this name is another one here.
    """

    def __init__(self, how: HowToCount, fingerprints: Sequence[str], device: str | None) -> None:
        self._how = how
        for adapter, expected in zip(how.adapters, fingerprints, strict=True):
            if (found := fingerprint(adapter)) != expected:
                raise UsageError(
                    f"The adapter '{adapter}' of this machine is another one: expected {expected[:12]}, got "
                    f"{found[:12]}. Copy the same folder to every machine."
                )
        self._counter = load(
            how.adapters[0] if len(how.adapters) == 1 else how.adapters,
            device=device,
            base=how.base,
            precision=how.precision,
            compile=how.compile,
            max_pixels=how.max_pixels,
            stretch=how.stretch,
            flip=how.flip,
            scales=how.scales,
        )

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows. Columns `x` and `y`, in pixels, hold a list each, as long as there are heads."""
        return pa.schema([*_COLUMNS, *(_POINTS if self._how.points else ())])

    def rows(self, images: Sequence[str]) -> Iterator[Row]:
        """Yield the row of each image."""
        for group in opened(images):
            for image, reason in group.missing.items():
                yield {IMAGE: image, QUARANTINED: reason}
            yield from self._counted(group)

    def _counted(self, group: Opened) -> Iterator[Row]:
        refused: list[Row] = []

        def refuse(path: Path, error: SamMpromptError) -> None:
            name = group.names[path]
            refused.append({IMAGE: name, QUARANTINED: str(error).replace(str(path), name)})

        paths = self._by_size(list(group.names))
        since = time.perf_counter()
        for result in counted(self._counter, paths, batch_size=self._how.batch_size, on_error=refuse):
            try:
                row = self._row(result)
            except RunError as error:  # a density that is none of people
                refuse(result.image or Path(), error)
            else:
                name = group.names[result.image or Path()]
                yield row | {IMAGE: name, "seconds": time.perf_counter() - since}
            since = time.perf_counter()
        yield from refused

    def _row(self, result: "CountResult") -> dict[str, Any]:
        """Return a row without name and seconds. Raises RunError where the heads cannot be placed."""
        height, width = result.image_size
        row: dict[str, Any] = {"count": result.count, "width": width, "height": height}
        row["warnings"] = list(result.warnings)
        if (interval := result.interval(self._how.level)) is not None:
            row |= {"low": interval.low, "high": interval.high}
        if self._how.points:
            row["x"], row["y"] = result.points().T
        return row

    def _by_size(self, paths: list[Path]) -> list[Path]:
        """Return images of one size side by side, as their tiles share calls of the network."""
        return paths if self._how.batch_size == 1 else sorted(paths, key=self._size)

    def _size(self, path: Path) -> tuple[int, int]:
        try:
            return read_header(path, self._counter.reading).size
        except UsageError:  # told where it is counted
            return 0, 0
