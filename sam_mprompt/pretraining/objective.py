"""What a pre-training learns: the loss of a decoder's answers, and how well held-out scenes are segmented."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.sam_encoder import SamEncoder
from .initialisation import normalised
from .recipe import TaskRecipe
from .scenes import PromptedBatch, PromptedScenes
from .thing_decoder import CELL, MAPS, Answers, PromptedSegmenter, mask_iou, mask_loss, offset_loss

_SMALL = 25  # cells: a thing of at most about 20 x 20 pixels


def objective(answers: Answers, images: Tensor, batch: PromptedBatch, task: TaskRecipe) -> dict[str, Tensor]:
    """Return the loss and its terms, scalars.

    Args:
        answers: of the model.
        images: normalised, (B, 3, H, W), on the model's device.
        batch: what was asked and what is right.
        task: the weight of each term; a term of weight 0 is left out.
    """
    device = images.device
    valid = batch.valid
    masks, wanted = answers.masks[valid.to(device)], batch.masks()[valid].float().to(device)
    terms = {"masks": mask_loss(masks, wanted) if valid.any() else answers.masks.sum() * 0}
    if task.maps > 0:
        terms["maps"] = mask_loss(answers.maps, batch.maps.to(device))
    if task.offsets > 0:
        terms["offsets"] = offset_loss(answers.offsets, batch.offsets.to(device), batch.labels.to(device))
    if task.colours > 0:
        terms["colours"] = F.mse_loss(answers.colours, F.avg_pool2d(images, CELL))
    weights = task.model_dump()
    return {"loss": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}


@torch.no_grad()
def segmentation_scores(
    model: PromptedSegmenter, encoder: SamEncoder, scenes: PromptedScenes, count: int, device: torch.device
) -> dict[str, float]:
    """Segment the first `count` batches of held-out scenes in evaluation mode; the model is training afterwards.

    Returns:
        `val_iou` over all prompts, `val_iou_small` over prompts on things of at most 25 cells, and `val_NAME`,
        the squared error of each dense map divided by that of predicting its mean (for `val_offsets`: zero).
    """
    ious, small, errors = [], [], []
    model.eval()
    for index in range(count):
        batch = scenes[index]
        answers: Answers = model(normalised(encoder, batch.images.to(device)), batch.prompts.to(device))
        wanted = batch.masks()
        iou = mask_iou(answers.masks.cpu(), wanted)[batch.valid]
        ious.append(iou.flatten())
        small.append(iou[wanted[batch.valid].sum((-2, -1)) <= _SMALL])
        mean = batch.maps.mean((0, 2, 3), keepdim=True)
        pair = (answers.maps.sigmoid().cpu() - batch.maps).square(), (mean - batch.maps).square()
        dense = torch.stack([error.mean((0, 2, 3)) for error in pair])
        guesses = answers.offsets.cpu(), torch.zeros_like(batch.offsets)
        placed = torch.stack([offset_loss(guess, batch.offsets, batch.labels) for guess in guesses])
        errors.append(torch.cat([dense, placed[:, None]], dim=1))
    model.train()
    ours, naive = torch.stack(errors).mean(0)
    record = {"val_iou": torch.cat(ious), "val_iou_small": torch.cat(small)}
    scores = {name: float(values.mean()) for name, values in record.items() if len(values)}
    names = (*MAPS, "offsets")
    return scores | {f"val_{name}": float(ours[i] / naive[i].clamp(min=1e-9)) for i, name in enumerate(names)}
