"""What masks are made by, in words that another process understands too."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..counting.torch_backend import choose_device
from ..errors import UsageError
from .make import BoxMasks, MaskSource, PointMasks, SegmenterMasks

Source = Literal["boxes", "points", "segmenter", "sam"]


@dataclass(frozen=True)
class HowToMask:
    """A source of masks by its name.

    Attributes:
        source: its name.
        dilation: of points: the radius of a head in pixels.
        run: of a segmenter: the run that trained it.
        overrides: of a segmenter: `KEY=VALUE` on its run's recipe.
        base: of sam: the whole SAM, by its name or file.
    """

    source: Source
    dilation: int = 8
    run: Path | None = None
    overrides: tuple[str, ...] = ()
    base: str = "sam_vit_b"

    @property
    def without_network(self) -> bool:
        """Whether annotations alone are drawn."""
        return self.source in ("points", "boxes")

    def maker(self, device: str | None) -> MaskSource:
        """Return the source, loaded onto a device. Raises UsageError where it cannot be."""
        if self.source == "points":
            return PointMasks(self.dilation)
        if self.source == "boxes":
            return BoxMasks()
        if self.source == "sam":
            from .point_prompter import PointPrompter
            from .sam import SamMasks

            return SamMasks(PointPrompter.from_checkpoint(self.base), self.base, device=choose_device(device))
        if self.run is None:
            raise UsageError("Masks of a segmenter need the run folder that trained it.", about="no run for masks")
        return SegmenterMasks(self.run, self.overrides, device=choose_device(device))
