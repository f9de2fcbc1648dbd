"""Counting held-out images while training: the figures that choose the best epoch, and pictures to look at."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator

from .data.dataset import frame_targets
from .data.image import ByteImage
from .data.sources import Source
from .evaluate import Metrics, metrics
from .geometry import Geometry
from .infer import predict_density
from .models.counter import CrowdCounter
from .mutual import offline_prompt
from .recipe import Recipe
from .render import preview

_AUTOCAST = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}


def count_all(
    counter: CrowdCounter, source: Source, recipe: Recipe, geometry: Geometry, accelerator: Accelerator
) -> list[tuple[float, int]]:
    """Return (predicted, actual) heads of every image of a source; processes share the work and all get the result."""
    own: list[tuple[int, float, int]] = []
    for index in range(accelerator.process_index, len(source), accelerator.num_processes):
        image, points = source.original(index)
        prediction = predict_density(
            counter,
            image,
            geometry,
            device=accelerator.device,
            batch_size=recipe.infer.batch_size,
            autocast=_AUTOCAST[recipe.train.precision],
        )
        own.append((index, prediction.count, len(points)))
    if accelerator.num_processes == 1:
        return [(predicted, actual) for _, predicted, actual in own]
    gathered: Sequence[tuple[int, float, int]] = accelerator.gather_for_metrics(own, use_gather_object=True)
    return [(predicted, actual) for _, predicted, actual in sorted(set(gathered))]


def validate(
    counter: CrowdCounter, source: Source, recipe: Recipe, geometry: Geometry, accelerator: Accelerator
) -> Metrics:
    """Return MAE, RMSE and NAE, in heads, over a source."""
    predicted, actual = zip(*count_all(counter, source, recipe, geometry, accelerator), strict=True)
    return metrics(predicted, actual)


def preview_image(
    counter: CrowdCounter, source: Source, index: int, *, recipe: Recipe, geometry: Geometry, device: torch.device
) -> ByteImage:
    """Return the panels image, target and predicted density, target and predicted mask of one image.

    The target mask is that of the offline prompt (Eq. 1), which does not depend on the prediction.
    """
    frame = source.frame(0, index)
    targets = frame_targets(frame, recipe.targets, stride=counter.stride)
    prediction = predict_density(counter, source.original(index)[0], geometry, device=device)
    mask, predicted_mask = None, None
    if prediction.mask_logits is not None:
        pseudo, density = torch.from_numpy(targets.pseudo_mask), torch.from_numpy(targets.density)
        mask = (offline_prompt(pseudo, density) if recipe.loss.offline else pseudo).numpy()
        predicted_mask = np.asarray(prediction.mask_logits > 0)
    return preview(frame.image, targets.density, prediction.density, mask, predicted_mask)
