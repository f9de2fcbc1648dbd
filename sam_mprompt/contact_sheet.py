"""Contact sheets: many pictures on one page, for looking at data and for figures."""

from collections.abc import Sequence

import cv2
import numpy as np

from .arrays import ByteImage
from .errors import UsageError

_GAP = 8
_CAPTION = 22
_PAPER, _INK = 255, (40, 40, 40)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.48


def contact_sheet(
    images: Sequence[ByteImage], columns: int | None = None, captions: Sequence[str] | None = None
) -> ByteImage:
    """Lay pictures out in rows on white paper, each centred in its cell, with an optional caption below.

    Args:
        images: uint8 arrays (H, W, 3), RGB; sizes may differ, the largest sides decide the cells.
        columns: pictures per row; about as many as rows by default. Fewer pictures than that make a narrower sheet.
        captions: one line of text per picture; what does not fit its cell is cut with "...".

    Returns:
        The sheet, uint8 (H', W', 3).

    Raises:
        UsageError: no images, an array of another kind, a column count below 1, or not one caption per image.
    """
    if not len(images):
        raise UsageError("Expected at least one image for a contact sheet, got none.")
    for number, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UsageError(f"Expected uint8 images (H, W, 3), got {image.dtype} {image.shape} as image {number}.")
    if columns is not None and columns < 1:
        raise UsageError(f"Expected at least 1 column, got {columns}.")
    if captions is not None and len(captions) != len(images):
        raise UsageError(f"Expected one caption per image, got {len(captions)} for {len(images)} images.")

    across = min(columns or int(np.ceil(np.sqrt(len(images)))), len(images))
    down = -(-len(images) // across)
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    step_y, step_x = height + _GAP + (_CAPTION if captions is not None else 0), width + _GAP
    sheet = np.full((down * step_y + _GAP, across * step_x + _GAP, 3), _PAPER, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, across)
        y, x = _GAP + row * step_y, _GAP + column * step_x
        top, left = y + (height - image.shape[0]) // 2, x + (width - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        if captions is not None:
            line = _fitted(captions[number], width)
            cv2.putText(sheet, line, (x, y + height + 16), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return sheet


def _fitted(text: str, width: int) -> str:
    """`text`, or as much of its beginning as fits into `width` pixels, with dots."""

    def fits(line: str) -> bool:
        return cv2.getTextSize(line, _FONT, _FONT_SCALE, 1)[0][0] <= width

    if fits(text):
        return text
    return next((text[:end] + "..." for end in range(len(text) - 1, 0, -1) if fits(text[:end] + "...")), "")
