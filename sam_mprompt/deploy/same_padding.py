"""TensorFlow's padding, as timm's networks from there have it, in one captured graph.

It follows the size of what it pads, by a division that is rounded up: in a graph of free sides that is a dozen nodes
for each strided convolution, and PyTorch's own file cannot hold it. The sides of tiles are such that a stride divides
what it is applied to, and then the padding is always the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from timm.layers import padding

_of_any_size = padding.get_same_padding


@contextmanager
def plain_padding() -> Iterator[None]:
    """Let networks of timm be captured with a fixed padding within the block. Not for several threads at a time."""
    with patch.object(padding, "get_same_padding", same_padding):
        yield


def same_padding(side: Any, kernel: int, stride: int, dilation: int) -> Any:
    """Return timm's `get_same_padding`, in pixels of both ends together, decided before it depends on the side."""
    if side % stride == 0:
        return max((kernel - 1) * dilation + 1 - stride, 0)
    return _of_any_size(side, kernel, stride, dilation)
