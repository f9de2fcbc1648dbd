"""Head points as the detections of the package `supervision` (https://supervision.roboflow.com)."""

from importlib import import_module
from typing import Any

import numpy as np

from ..arrays import FloatArray
from ..data.head_boxes import nominal_boxes
from ..errors import UsageError

_CLASS = "head"


def detections(points: FloatArray, size: tuple[int, int]) -> Any:
    """Return `supervision.Detections` of head points (N, 2) in an image of `size` (height, width).

    Each is a square with the point in its middle, as `nominal_boxes` makes them, of class 0 that is named "head".

    Raises:
        UsageError: the package is not installed.
    """
    try:
        made = import_module("supervision").Detections
    except ImportError as error:
        raise UsageError(
            "Detections need the package 'supervision', which is not installed: expected it beside this one "
            "(pip install supervision)."
        ) from error
    return made(
        xyxy=nominal_boxes(points, size).astype(np.float32),
        class_id=np.zeros(len(points), np.int64),
        data={"class_name": np.full(len(points), _CLASS)},
    )
