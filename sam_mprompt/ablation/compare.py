"""Two counters on the same images, on one sheet: densities, counts and where their masks differ (Figures 6 and 7)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..adapter.find import find_adapter
from ..arrays import ByteImage
from ..counting.counter import load
from ..counting.result import Prediction
from ..counting.torch_backend import choose_device
from ..data.bounds import Reading, any_size
from ..data.image import read_image
from ..render import density_panels, fit_within, mask_difference, side_by_side
from ..training.run import RunFolder
from ..training.trained import TrainedRun, load_run

_SIDE = 640


def compare(
    first: str,
    second: str,
    images: Sequence[Path],
    *,
    device: str | None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ByteImage, list[tuple[Path, float, float]], list[str]]:
    """Draw image, both densities and, for runs that kept their segmenters, the difference of the masks.

    Args:
        first, second: adapters or runs, by path or name.
        images: what to count, one row each.
        device: as for `load`.
        progress: called after each image with the number done and the number of all.

    Returns:
        The sheet, uint8 RGB (H, W, 3); (image, first count, second count) of each image; and the names of those of the
        two that kept no segmenter, so that masks are left out.

    Raises:
        UsageError: no such adapter, or an image that cannot be read.
    """
    counters = [load(name, device=device) for name in (first, second)]
    runs = [run_of(name, device) for name in (first, second)]
    without = [name for name, run in zip((first, second), runs, strict=True) if run is None]
    kept = [run for run in runs if run is not None]
    rows, counts = [], []
    for done, path in enumerate(images, start=1):
        image = read_image(path, counters[0].reading, enough=any_size)
        results = [counter.count(path) for counter in counters]
        shown = fit_within(image, _SIDE)
        panels = [shown, *density_panels(shown, [result.density for result in results])]
        titles = [path.name, *(f"{name}: {r.count:,.1f}" for name, r in zip((first, second), results, strict=True))]
        if not without:
            masks = [
                _mask(run.predict(read_image(path, Reading(stretch=run.recipe.data.stretch))), shown) for run in kept
            ]
            panels.append(mask_difference(shown, masks[0], masks[1]))
            titles.append("Masks: orange first only, blue second only, green both")
        rows.append(side_by_side(panels, titles))
        counts.append((path, results[0].count, results[1].count))
        if progress is not None:
            progress(done, len(images))
    widest = max(row.shape[1] for row in rows)
    sheet = [np.pad(row, ((0, 6), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(sheet), counts, without


def run_of(name: str, device: str | None) -> TrainedRun | None:
    """Return the run that an adapter (by path or name) stands in, or None without one or without a segmenter."""
    run = RunFolder(find_adapter(name).parent)
    if not run.has_state:
        return None
    trained = load_run(run, device=choose_device(device))
    return trained if trained.has_masks else None


def _mask(prediction: Prediction, shown: ByteImage) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    logits = np.asarray(prediction.mask_logits, np.float32)
    fine = cv2.resize(logits, (shown.shape[1], shown.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine > 0, np.bool_)
