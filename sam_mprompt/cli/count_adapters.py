"""`count --adapter`: some of the images are counted with other adapters on the same base."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .image_paths import expand
from .ui import recorded

if TYPE_CHECKING:
    from ..counting.any_counter import AnyCounter
    from ..counting.intervals import Calibration

OtherAdapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="IMAGES=ADAPTER",
        help="Count these images, a folder or a quoted glob, with another adapter on the same base; repeatable.",
    ),
]


@dataclass
class AdapterOfImages:
    """Which adapter counts which image.

    Attributes:
        first: the adapter of all other images, as the user names it.
        others: of images that have another one, as the user names it.
    """

    first: str
    others: Mapping[Path, str] = field(default_factory=dict)
    _loaded: dict[str, str] = field(default_factory=dict, init=False)
    _first: str = field(default="", init=False)

    @classmethod
    def of(cls, first: str, given: Sequence[str] | None, images: Sequence[Path]) -> "AdapterOfImages":
        """Read `--adapter` options for the images that are to be counted.

        Raises:
            UsageError: not IMAGES=ADAPTER, nothing of what is counted in IMAGES, or an image in two of them.
        """
        others: dict[Path, str] = {}
        counted = {image.resolve(): image for image in images}
        for text in given or ():
            pattern, equals, adapter = text.rpartition("=")
            if not (pattern and equals and adapter):
                raise UsageError(f"--adapter: expected IMAGES=ADAPTER, such as 'photos/gate=gate-7', got '{text}'.")
            own = [counted[path] for found in expand([pattern]).images if (path := found.resolve()) in counted]
            if not own:
                raise UsageError(f"--adapter: none of the images to count is in '{pattern}'.")
            adapter = recorded(adapter)
            for image in own:
                if others.setdefault(image, adapter) != adapter:
                    raise UsageError(
                        f"--adapter: expected one adapter per image, got '{others[image]}' and '{adapter}' for "
                        f"'{image}'."
                    )
        return cls(first, others)

    def load(self, counter: "AnyCounter") -> None:
        """Put the other adapters onto the counter's base. Raises UsageError as `Counter.load_adapter`."""
        self._first = counter.active
        further = [adapter for adapter in dict.fromkeys(self.others.values()) if adapter != self.first]
        for number, adapter in enumerate(further, start=1):
            self._loaded[adapter] = f"other{number}"  # names of peft's modules, which are no paths
            counter.load_adapter(adapter, name=self._loaded[adapter])

    def names(self, images: Sequence[Path]) -> list[str] | None:
        """Return the counter's name of each image's adapter; None where one counts them all."""
        if not self.others:
            return None
        return [self._loaded.get(self.others.get(image, self.first), self._first) for image in images]

    def calibration(self, counter: "AnyCounter", level: float) -> "Calibration":
        """Return the calibration that decides whether there are error bars: the first that has some of this level."""
        known = [counter.calibration_of(name) for name in counter.adapters]
        return next((own for own in known if own.why_not(level) is None), known[0])

    def record(self, image: Path) -> dict[str, str]:
        """Return what JSON says of an image's adapter; nothing where one counts them all."""
        return {"adapter": self.others.get(image, self.first)} if self.others else {}
