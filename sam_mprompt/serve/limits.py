"""What one service takes at most: of a request, of all together, and of time."""

from dataclasses import dataclass

from ..data.bounds import Reading
from ..errors import UsageError

_LONGEST = 86_400.0


@dataclass(frozen=True)
class Limits:
    """The bounds of a service.

    Attributes:
        max_batch: the most images that share a call of the network.
        window: for how many seconds the first image of a batch waits for others.
        queue: the most requests that are being read, wait or are answered at a time; others are refused at once.
        max_bytes: the most bytes of the body of a request.
        held_bytes: the most bytes of the bodies of all requests at a time.
        max_pixels: the most pixels of an image, looked at before it is decoded. A JPEG above it is decoded to a smaller
            copy where counting shrinks it at least as much anyway.
        max_regions_bytes: the most bytes of regions.
        overlay_side: pixels, the longest side of a picture that is returned.
        timeout: seconds from the first byte of a request to the last of its answer.

    Raises:
        UsageError: a bound that is none.
    """

    max_batch: int = 8
    window: float = 0.005
    queue: int = 64
    max_bytes: int = 1 << 25
    held_bytes: int = 1 << 28
    max_pixels: int = 1 << 26
    max_regions_bytes: int = 1 << 20
    overlay_side: int = 2048
    timeout: float = 30.0

    def __post_init__(self) -> None:
        whole = ("max_batch", "queue", "max_bytes", "held_bytes", "max_pixels", "max_regions_bytes", "overlay_side")
        for name in whole:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name}: expected a whole number from 1 on, got {value!r}.")
        if not 0 <= self.window <= 1:
            raise UsageError(f"window: expected 0 to 1 second, got {self.window!r}.")
        if not 0 < self.timeout <= _LONGEST:
            raise UsageError(f"timeout: expected more than 0 and at most {_LONGEST:g} seconds, got {self.timeout!r}.")
        if self.held_bytes < self.max_bytes:
            raise UsageError(
                f"held_bytes: expected at least max_bytes = {self.max_bytes}, a request's share, got {self.held_bytes}."
            )

    @property
    def stuck_after(self) -> float:
        """Seconds of one call of the network after which the service counts as stuck."""
        return 10 * self.timeout

    def reading(self, stretch: bool = False) -> Reading:
        """Return how images of requests are decoded."""
        return Reading(self.max_pixels, stretch, reduced=True)
