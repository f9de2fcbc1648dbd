"""A file of which no read makes room for more bytes than are left of it.

Pillow reads as much as a PNG says of its chunks, up to 4 GB of a file of 168 bytes, and Python makes the room first.
"""

import io
import os
from pathlib import Path


class BoundedFile(io.BufferedReader):
    """A file opened for reading its bytes; its length is that of the moment when it was opened.

    Raises:
        OSError: as `open`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, or as many as are left."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(self._length - self.tell(), io.DEFAULT_BUFFER_SIZE))
        return super().read(size)
