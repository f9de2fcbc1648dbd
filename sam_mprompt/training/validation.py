"""Counting held-out images while training: the figures that choose the best epoch, and pictures to look at."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from ..arrays import ByteImage
from ..counting.predict import predict_density, predict_with_mask
from ..counting.torch_backend import Precision, TorchBackend
from ..data.dataset import frame_targets
from ..data.sources import Source
from ..evaluation.metrics import mask_iou
from ..geometry import Geometry
from ..losses import offline_prompt
from ..models.counter import CrowdCounter
from ..recipe.loss import Loss
from ..recipe.schema import TargetRecipe
from ..render import preview

_Result = TypeVar("_Result", bound=tuple[int, *tuple[float, ...]])


def count_all(
    counter: CrowdCounter,
    source: Source,
    geometry: Geometry,
    accelerator: Accelerator,
    *,
    batch_size: int,
    precision: Precision,
) -> list[tuple[float, int]]:
    """Return (predicted, actual) heads of every image of a source; processes share the work and all get the result.

    Args:
        counter: counts in evaluation mode, and keeps its own mode.
        source: annotated images.
        geometry: sizes at which they are counted.
        accelerator: which share of them is this process's.
        batch_size: tiles per forward pass.
        precision: mixed precision on a GPU.
    """
    backend = TorchBackend(counter, accelerator.device, precision=precision)
    own: list[tuple[int, float, int]] = []
    for index in range(accelerator.process_index, len(source), accelerator.num_processes):
        image, points = source.original(index)
        prediction = predict_density(backend, image, geometry, batch_size=batch_size)
        own.append((index, prediction.count, len(points)))
    return [(predicted, actual) for _, predicted, actual in _gathered(own, accelerator)]


def validate_masks(
    counter: CrowdCounter, source: Source, geometry: Geometry, accelerator: Accelerator, *, targets: TargetRecipe
) -> float:
    """Return the mean IoU, in [0, 1], of the predicted masks (logits above 0) and the pseudo masks of a source."""
    backend = TorchBackend(counter, accelerator.device)
    own: list[tuple[int, float]] = []
    for index in range(accelerator.process_index, len(source), accelerator.num_processes):
        target = frame_targets(source.frame(0, index), targets, stride=counter.stride).pseudo_mask
        prediction = predict_with_mask(backend, source.original(index)[0], geometry)
        assert prediction.mask_logits is not None
        own.append((index, mask_iou(prediction.mask_logits > 0, target)))
    return float(np.mean([iou for _, iou in _gathered(own, accelerator)]))


def _gathered(own: Sequence[_Result], accelerator: Accelerator) -> list[_Result]:
    """Return the results of all processes, each once: the last of them may have been done twice."""
    if accelerator.num_processes == 1:
        return list(own)
    results: Sequence[_Result] = accelerator.gather_for_metrics(own, use_gather_object=True)
    return sorted(set(results))


def preview_image(
    counter: CrowdCounter,
    source: Source,
    index: int,
    *,
    targets: TargetRecipe,
    loss: Loss,
    geometry: Geometry,
    device: torch.device,
) -> ByteImage:
    """Return the panels image, target and predicted density, target and predicted mask of one image.

    The target mask is that of `loss` before its online prompt, which would depend on the prediction.
    """
    frame = source.frame(0, index)
    made = frame_targets(frame, targets, stride=counter.stride)
    predict = predict_with_mask if counter.predicts_masks else predict_density
    prediction = predict(TorchBackend(counter, device), source.original(index)[0], geometry)
    mask, predicted_mask = None, None
    if prediction.mask_logits is not None:
        pseudo, density = torch.from_numpy(made.pseudo_mask), torch.from_numpy(made.density)
        mask = (offline_prompt(pseudo, density, threshold=loss.threshold) if loss.offline else pseudo).numpy()
        predicted_mask = np.asarray(prediction.mask_logits > 0)
    return preview(frame.image, made.density, prediction.density, mask, predicted_mask)
