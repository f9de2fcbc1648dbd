"""What runs a network of an exported file, whichever it is: its threads, its input and output, its errors. No torch."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import FloatArray
from ..errors import RunError, UsageError
from .metadata import KEY

_THREADS = "OMP_NUM_THREADS"


def threads() -> int:
    """Return how many threads the environment asks for, 0 where it does not say."""
    told = os.environ.get(_THREADS, "")
    return int(told) if told.isdecimal() else 0


def decoded(read: Callable[[], str | None], source: str) -> str:
    """Return a file's metadata. Raises UsageError where it has none, or none that are text."""
    try:
        text = read()
    except UnicodeDecodeError as error:
        raise UsageError(f"'{source}' is damaged: its metadata is no text. Export it again.") from error
    if text is None:
        raise UsageError(f"'{source}' was not exported by sam-mprompt: its metadata has no '{KEY}'.")
    return text


def check_signature(
    source: str, inputs: int, outputs: int, sides: Sequence[int | None], tile: int | None, *, float32: bool
) -> None:
    """Raise UsageError for a network that takes or gives something else than `export` makes.

    A runtime need not notice that tiles have another size than its network: OpenVINO writes outside its memory.

    Args:
        source: the file, for the message.
        inputs, outputs: how many there are.
        sides: shape of the first input, None where a side is free; empty where the number of sides is.
        tile: what the file says of itself.
        float32: whether the first input is.
    """
    expected = (None, 3, tile, tile)
    if (inputs, outputs, tuple(sides)) != (1, 1, expected) or not float32:
        shape = " x ".join("?" if side is None else str(side) for side in expected)
        raise UsageError(
            f"'{source}' is damaged: expected one input of float32 tiles ({shape}) and one output. Export it again."
        )


def check_density(found: object, tiles: FloatArray, stride: int, runtime: str) -> FloatArray:
    """Return what came out for tiles (B, 3, H, W). Raises RunError where it is no density of them."""
    count, _, height, width = tiles.shape
    expected = (count, height // stride, width // stride)
    if not isinstance(found, np.ndarray) or found.dtype != np.float32 or found.shape != expected:
        got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise RunError(f"{runtime} gave no density: expected float32 {expected}, got {got}. Export the file again.")
    return found


def failure(error: Exception, tiles: FloatArray, device: str, runtime: str) -> RunError:
    """Return what to raise where a runtime failed on tiles."""
    count, _, height, width = tiles.shape
    told = first_line(error)
    if any(sign in told.lower() for sign in ("alloc", "memory")):
        return RunError(
            f"Out of memory on {device} with {count} tile(s) of {height}x{width}: lower batch_size or tile."
        )
    return RunError(f"{runtime} failed on {count} tile(s) of {height}x{width}: {told}")


def first_line(error: Exception, *, skip: Sequence[str] = ()) -> str:
    """Return the first line of a message that says something: none that begins with one of `skip`."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(tuple(skip))] if skip else lines
    return (told or [type(error).__name__])[0]
