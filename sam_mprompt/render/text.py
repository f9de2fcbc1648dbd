"""Words in pictures: captions and titles."""

import cv2
import numpy as np

from ..arrays import ByteImage
from .pixels import WHITE, as_bytes

FONT = cv2.FONT_HERSHEY_SIMPLEX
"""It has ASCII characters only."""

LEGIBLE = 7
"""Pixels, the least height of letters."""

_BACKGROUND = 20


def caption(image: ByteImage, text: str) -> ByteImage:
    """Return the image with ASCII text in a dark box at the top left, as large as suits the image.

    An image too small for legible text is returned without it.
    """
    height, width = caption_size((image.shape[0], image.shape[1]), text)
    picture = image.copy()
    if height:
        scale, thickness, (_, text_height), _ = _caption_layout((image.shape[0], image.shape[1]), text)
        pad = round(0.55 * text_height)
        box = picture[:height, :width]
        box[:] = as_bytes(box * np.float32(0.25))
        cv2.putText(picture, text, (pad, pad + text_height), FONT, scale, WHITE, thickness, cv2.LINE_AA)
    return picture


def caption_size(size: tuple[int, int], text: str) -> tuple[int, int]:
    """Return (height, width) of the box of a caption in an image of `size`, (0, 0) where that is too small."""
    if not text:
        return 0, 0
    _, _, (text_width, text_height), baseline = _caption_layout(size, text)
    if text_height < LEGIBLE or 2 * text_height > size[0]:
        return 0, 0
    pad = round(0.55 * text_height)
    return text_height + baseline + 2 * pad, text_width + 2 * pad


def _caption_layout(size: tuple[int, int], text: str) -> tuple[float, int, tuple[int, int], int]:
    return text_layout(text, max(10, min(size) / 26), 0.9 * size[1])


def side_by_side(panels: list[ByteImage], titles: list[str]) -> ByteImage:
    """Return panels of one height in a row, each under its ASCII title on a dark strip."""
    height = panels[0].shape[0]
    gap, strip = max(2, height // 90), max(16, height // 11)
    columns = []
    for panel, title in zip(panels, titles, strict=True):
        width = panel.shape[1]
        column = np.full((strip + height, width, 3), _BACKGROUND, np.uint8)
        column[strip:] = panel
        scale, thickness, (_, text_height), _ = text_layout(title, 0.45 * strip, 0.94 * width)
        origin = (round(0.03 * width), (strip + text_height) // 2)
        cv2.putText(column, title, origin, FONT, scale, WHITE, thickness, cv2.LINE_AA)
        columns += [column, np.full((strip + height, gap, 3), _BACKGROUND, np.uint8)]
    return np.concatenate(columns[:-1], axis=1)


def text_layout(text: str, height: float, width: float) -> tuple[float, int, tuple[int, int], int]:
    """Return (font scale, thickness, (width, height), baseline) of text `height` high but at most `width` wide."""
    (unit_width, unit_height), _ = cv2.getTextSize(text, FONT, 1.0, 2)
    scale = min(height / unit_height, width / unit_width)
    thickness = max(1, round(2 * scale))
    size, baseline = cv2.getTextSize(text, FONT, scale, thickness)
    return scale, thickness, (size[0], size[1]), baseline
