"""The photographs that are held: each as a file that no disk holds, with what it was counted as."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from ..counting.result import CountResult
from ..data.bounds import any_size
from ..data.image import read_header, read_image
from ..errors import UsageError
from ..render import encoded_image, fit_within
from ..serve.memory_file import MemoryFile
from ..serve.problems import Problem
from .limits import PageLimits


@dataclass(eq=False)
class Photo:
    """One photograph.

    Attributes:
        id: by which the page asks for it.
        name: what its sender calls it.
        image: the file.
        size: (height, width) in pixels as displayed.
        results: what it was counted as, by the adapter's name.
        picture: a JPEG of it, once it was asked for.
    """

    id: str
    name: str
    image: MemoryFile
    size: tuple[int, int]
    results: dict[str, CountResult] = field(default_factory=dict)
    picture: bytes | None = None

    def content(self) -> bytes:
        """Return the file's bytes."""
        return self.image.path.read_bytes()

    def unnamed(self, message: object) -> str:
        """Return a message about the file with the name that its sender knows."""
        return self.image.unnamed(message, self.name)


class Photos:
    """The last photographs, up to a number and a sum of bytes."""

    def __init__(self, limits: PageLimits) -> None:
        self._limits, self._lock = limits, threading.Lock()
        self._held: OrderedDict[str, Photo] = OrderedDict()

    def add(self, name: str, content: bytes) -> Photo:
        """Take a photograph; older ones go where there are too many.

        Raises:
            Problem: 413 where it has too many bytes, 422 where it is no image or has too many pixels.
            NoRoomError: the memory, or the disk with the temporary files, is full.
        """
        limits = self._limits.shared
        if len(content) > limits.max_bytes:
            text = f"Expected a photograph of at most {limits.max_bytes / 1e6:g} MB, got {len(content) / 1e6:.1f} MB."
            raise Problem(413, "too-many-bytes", text)
        image = MemoryFile(content)
        try:
            size = read_header(image.path, limits.reading()).size
        except UsageError as error:
            image.release()
            kind = "too-many-pixels" if error.about == "too many pixels" else "unusable-image"
            raise Problem(422, kind, image.unnamed(error, name)) from error
        photo = Photo(uuid4().hex, name, image, size)
        with self._lock:
            self._held[photo.id] = photo
            gone = self._surplus()
        for old in gone:
            old.image.release()
        return photo

    @contextmanager
    def using(self, number: str) -> Iterator[Photo]:
        """Yield a photograph, which is the newest now; its file stays until the block ends, also where it must go.

        Raises:
            Problem: 404 where it is no longer held.
        """
        with self._lock:
            photo = self._held.get(number)
            if photo is None:
                raise Problem(404, "photo-gone", "This photograph is no longer held here: open it again.")
            self._held.move_to_end(number)
            photo.image.hold()
        try:
            yield photo
        finally:
            photo.image.release()

    def forget_results(self, adapter: str) -> None:
        """Forget what an adapter counted, as another one has its name now."""
        with self._lock:
            for photo in self._held.values():
                photo.results.pop(adapter, None)

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            gone, self._held = list(self._held.values()), OrderedDict()
        for photo in gone:
            photo.image.release()

    def _surplus(self) -> list[Photo]:
        gone, most = [], self._limits.shared.held_bytes
        while len(self._held) > self._limits.photos or (
            len(self._held) > 1 and sum(photo.image.size for photo in self._held.values()) > most
        ):
            gone.append(self._held.popitem(last=False)[1])
        return gone


def picture_of(photo: Photo, limits: PageLimits) -> bytes:
    """Return a photograph as a JPEG that every browser shows, upright. Raises Problem 422 where it is damaged."""
    if photo.picture is None:
        try:
            pixels = read_image(photo.image.path, limits.shared.reading(), enough=any_size)
        except UsageError as error:
            raise Problem(422, "unusable-image", photo.unnamed(error)) from error
        photo.picture = encoded_image(fit_within(pixels, limits.picture_side), ".jpg")
    return photo.picture
