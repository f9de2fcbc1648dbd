"""Several adapters in one go: what counts each image, and which images share a call of the network. Free of torch.

An encoder works with one adapter at a time, so images are grouped: those that are decoded together and are counted with
one adapter share its calls, as they would if that adapter counted them alone. Mixing adapters within a call would share
only what lies before the first prompt module, which by default is the patch embedding: one layer of dozens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import TypeVar

from ..data.bounds import Reading
from ..errors import UsageError
from ..geometry import Geometry
from .backend import DensityBackend
from .intervals import UNCALIBRATED, Calibration
from .result import ImageLike
from .scales import ONCE
from .scope import Scope

Item = TypeVar("Item")
Result = TypeVar("Result")
ANYTHING = Scope()
"""Of an adapter that does not say what its training saw."""

_ENDED = object()


@dataclass(frozen=True, eq=False)
class Setup:
    """All that decides how an image is counted; what is counted with one and the same setup is counted together.

    Attributes:
        backend: the network with one adapter.
        geometry: how images are resized and cut.
        reading: how image files are decoded.
        calibration: what is known of the errors.
        scope: what training saw.
        scales: factors of the size that the network is shown the image at; the mean of the densities counts.
    """

    backend: DensityBackend
    geometry: Geometry
    reading: Reading
    calibration: Calibration = UNCALIBRATED
    scope: Scope = ANYTHING
    scales: tuple[float, ...] = ONCE


def paired(
    images: Iterable[ImageLike], adapters: Iterable[str], setup_of: Callable[[str], Setup]
) -> Iterator[tuple[ImageLike, Setup]]:
    """Return the images, each with the setup of its adapter; lists are checked before the first image is read.

    Args:
        images: in order.
        adapters: one name per image, in the same order.
        setup_of: called once per name. Raises UsageError for a name that is none.

    Raises:
        UsageError: no names, more or fewer of them than images, or an unknown one. Of iterators, which tell neither
            their length nor what comes, as soon as that is met.
    """
    if isinstance(adapters, str | bytes) or not isinstance(adapters, Iterable):
        raise UsageError(f"adapters: expected one name per image, such as a list of names, got {adapters!r}.")
    if isinstance(images, Sized) and isinstance(adapters, Sized) and len(images) != len(adapters):
        raise _uneven(f"{len(images):,} images and {len(adapters):,} names")
    setups: dict[str, Setup] = {}

    def setup(name: str) -> Setup:
        if not isinstance(name, str):
            raise UsageError(f"adapters: expected one name per image, got {name!r} among them.")
        if name not in setups:
            setups[name] = setup_of(name)
        return setups[name]

    if isinstance(adapters, Sequence):
        for name in adapters:
            setup(name)
    return _pairs(images, adapters, setup)


def in_groups(
    items: Sequence[tuple[Setup, Item]], work: Callable[[Setup, list[Item]], Sequence[Result]]
) -> list[Result]:
    """Work on items setup by setup, and return a result per item in the order of the items.

    Args:
        items: each with its setup.
        work: called once per setup with its items in order; returns a result for each.
    """
    places: dict[Setup, list[int]] = {}
    for place, (setup, _) in enumerate(items):
        places.setdefault(setup, []).append(place)
    results: dict[int, Result] = {}
    for setup, group in places.items():
        results |= zip(group, work(setup, [items[place][1] for place in group]), strict=True)
    return [results[place] for place in range(len(items))]


def _pairs(
    images: Iterable[ImageLike], adapters: Iterable[str], setup: Callable[[str], Setup]
) -> Iterator[tuple[ImageLike, Setup]]:
    names = iter(adapters)
    number = 0
    for number, image in enumerate(images, start=1):
        name = next(names, _ENDED)
        if name is _ENDED:
            raise _uneven(f"only {number - 1:,} names")
        yield image, setup(name)  # type: ignore[arg-type]
    if next(names, _ENDED) is not _ENDED:
        raise _uneven(f"{number:,} images and more names")


def _uneven(got: str) -> UsageError:
    return UsageError(f"adapters: expected one name per image, got {got}.")
