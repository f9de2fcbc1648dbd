"""The same thing twice: heads of one image, and one picture under two names or in two splits."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...files import sha256_of
from .annotation import Annotation, SplitName
from .problems import Problems

_HASHING_THREADS = 4


def without_repeats(annotation: Annotation) -> tuple[Annotation, int]:
    """Return the annotation with each point and each box once, in their order, and how many points were repeats."""
    points, boxes = annotation.points, annotation.boxes
    paired = boxes is not None and len(boxes) == len(points)
    # Two people in one line with the camera may share a centre, but not a box.
    rows = np.hstack([points, boxes]) if paired and boxes is not None else points
    kept = _first_places(rows)
    if len(kept) == len(points):
        return annotation, 0
    if boxes is not None:
        boxes = boxes[kept if paired else _first_places(boxes)]
    return annotation._replace(points=points[kept], boxes=boxes), len(points) - len(kept)


def note_copies(
    images: Mapping[SplitName, tuple[Iterable[Path], Problems]],
    sha256: Callable[[Path], str] = sha256_of,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Note in the problems each picture that another split, or its own under another name, has byte for byte.

    Only files of equal size are hashed, so that most datasets are told apart by their listing.

    Args:
        images: the pictures and problems of each split; the problems are changed.
        sha256: returns the SHA-256 of a file, or raises UsageError; called by several threads.
        progress: called after each picture that is hashed, with the number done and the number of all.
    """
    by_size: dict[int, dict[Path, SplitName]] = defaultdict(dict)
    for split, (paths, _) in images.items():
        for path in paths:
            with suppress(OSError):  # it is not there, which others tell
                by_size[path.stat().st_size].setdefault(path, split)
    alike = {path: split for group in by_size.values() if len(group) > 1 for path, split in group.items()}
    seen: dict[str, dict[SplitName, Path]] = defaultdict(dict)
    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        hashes = pool.map(partial(_hash, sha256), alike)
        for done, ((path, split), digest) in enumerate(zip(alike.items(), hashes, strict=True), start=1):
            if digest is not None:
                _note(images[split][1], path, split, seen[digest])
            if progress is not None:
                progress(done, len(alike))


def _hash(sha256: Callable[[Path], str], path: Path) -> str | None:
    try:
        return sha256(path)
    except UsageError:  # it vanished, which decoding tells
        return None


def _note(problems: Problems, path: Path, split: SplitName, seen: dict[SplitName, Path]) -> None:
    """Note what a picture is a copy of, where the first of its kind is known of a split."""
    others = [(name, twin) for name, twin in seen.items() if name != split]
    if others:
        problems.shared[path] = f"'{path.name}' is '{others[0][1].name}' of {others[0][0]}"
    elif split in seen:
        problems.copies[path] = f"'{path.name}' is '{seen[split].name}'"
    seen.setdefault(split, path)


def _first_places(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where each different row stands first, in order."""
    places: NDArray[np.intp] = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return places
