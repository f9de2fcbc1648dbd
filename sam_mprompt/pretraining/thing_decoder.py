"""Class-agnostic promptable segmentation, SAM's task in small: the decoder that only pre-training has, and its loss.

A pixel says which thing it belongs to by an embedding and by a vote for the place of the thing's centre (the idea of
spatial embeddings, Neven et al., CVPR 2019, https://arxiv.org/abs/1906.11109). A prompted pixel is compared with all
others in both. It also says directly where in its thing it lies (HoVer-Net's maps, Graham et al. 2019,
https://arxiv.org/abs/1812.06499), which every pixel of every thing learns from, prompted or not. The path from the
features to quarter resolution is short and has no other input, so that all detail below the size of a token has to be
in the tokens; painting the image's colours again at that resolution is the first thing that is learned, and what the
masks are learned from.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4
"""Side in pixels of a cell of the predicted masks."""

MAPS = ("things", "outlines", "centres")
"""The dense maps that are predicted beside the masks, in this order."""

_WIDTH = 48
_UPSCALE = 4
_OFFSETS = 2
_COLOURS = 3


class Answers(NamedTuple):
    """What the decoder says of images, on cells: h = H / CELL, w = W / CELL.

    Attributes:
        masks: logits (B, P, h, w) of the prompted things.
        maps: logits (B, 3, h, w) of the `MAPS`.
        offsets: (B, 2, h, w), where in its thing a cell lies as (x, y), each in [-1, 1].
        colours: (B, 3, h, w), the normalised image.
    """

    masks: Tensor
    maps: Tensor
    offsets: Tensor
    colours: Tensor


class ThingDecoder(nn.Module):
    """Turns features of stride 16 into masks of prompted things and dense maps, both at stride `CELL`.

    Args:
        channels: of the features.
        embedding: channels in which pixels are compared.
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.expand = nn.Sequential(nn.Conv2d(channels, _WIDTH * _UPSCALE**2, 1), nn.PixelShuffle(_UPSCALE))
        self.refine = nn.Sequential(nn.GELU(), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.GELU())
        self.output = nn.Conv2d(_WIDTH, embedding + 2 + len(MAPS) + _OFFSETS + _COLOURS, 1)
        self.query = nn.Sequential(
            nn.Linear(embedding, 2 * embedding), nn.GELU(), nn.Linear(2 * embedding, embedding + 2)
        )

    def forward(self, features: Tensor, prompts: Tensor) -> Answers:
        """Answer P point prompts an image.

        Args:
            features: (B, channels, H / 16, W / 16).
            prompts: int64 (B, P), the prompted cells: row * (W / CELL) + column.
        """
        pixels = self.output(self.refine(self.expand(features)))
        height, width = pixels.shape[2:]
        parts = [self.embedding, 2, len(MAPS), _OFFSETS, _COLOURS]
        embeddings, votes, maps, offsets, colours = pixels.split(parts, dim=1)
        places = votes.flatten(2) + _cells(height, width, pixels) / _UPSCALE  # (B, 2, N) in tokens
        embeddings = embeddings.flatten(2)  # (B, E, N)
        prompted = _at(embeddings, prompts)  # (B, P, E)
        query, bias, sharpness = self.query(prompted).split([self.embedding, 1, 1], dim=2)
        alike = query @ embeddings / math.sqrt(self.embedding)  # (B, P, N)
        apart = torch.cdist(_at(places, prompts), places.mT).square()  # (B, P, N)
        masks = alike + bias - F.softplus(sharpness) * apart
        return Answers(masks.unflatten(2, (height, width)), maps, offsets, colours)


class PromptedSegmenter(nn.Module):
    """An encoder and a `ThingDecoder` on it: what is trained. Only the encoder is kept.

    Attributes:
        imitator: what else is trained beside them, where there is a teacher.
    """

    def __init__(self, encoder: nn.Module, decoder: ThingDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.imitator: nn.Module | None = None

    def forward(self, images: Tensor, prompts: Tensor) -> Answers:
        """Normalised images (B, 3, H, W) and prompts (B, P) -> answers as of `ThingDecoder`."""
        answers: Answers = self.decoder(self.encoder(images)[0], prompts)
        return answers


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy plus dice loss of soft or hard masks, averaged over all of them.

    Args:
        logits, targets: (..., H, W), targets in [0, 1].

    Returns:
        A scalar.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets)
    predicted = logits.sigmoid()
    overlap = (predicted * targets).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (predicted.sum((-2, -1)) + targets.sum((-2, -1)) + 1)
    return entropy + dice.mean()


def offset_loss(offsets: Tensor, targets: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of offsets (B, 2, h, w) over the cells of things, labels (B, h, w) > 0; 0 without any."""
    things = (labels > 0)[:, None]
    return ((offsets - targets).square() * things).sum() / (2 * things.sum()).clamp(min=1)


def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """Intersection over union (...) of the masks logits > 0 and boolean targets (..., H, W); 1 where both are empty."""
    predicted = logits > 0
    union = (predicted | targets).sum((-2, -1))
    return torch.where(union > 0, (predicted & targets).sum((-2, -1)) / union.clamp(min=1), 1.0)


def _cells(height: int, width: int, like: Tensor) -> Tensor:
    """Positions (2, height * width) of all cells as (column, row)."""
    rows = torch.arange(height, device=like.device, dtype=like.dtype)
    columns = torch.arange(width, device=like.device, dtype=like.dtype)
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)])


def _at(values: Tensor, prompts: Tensor) -> Tensor:
    """Values (B, C, N) at the prompted cells (B, P) -> (B, P, C)."""
    return values.gather(2, prompts[:, None].expand(-1, values.shape[1], -1)).mT
