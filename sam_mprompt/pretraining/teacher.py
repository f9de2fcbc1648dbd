"""A teacher that has seen photographs: its features are what the encoder's features learn to tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..models.build import build_encoder
from ..models.encoder import as_encoder
from ..models.sam_encoder import SamEncoder
from ..recipe.model import TimmModel
from .initialisation import normalised
from .recipe import TeacherRecipe

_EPS = 1e-5


class Teacher:
    """A frozen network: it answers images with a feature map a level, and nothing in it ever changes.

    Attributes:
        channels: of each level.
        strides: of each level, pixels per cell.
        size_divisor: image sides must be multiples of it.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().requires_grad_(False)
        self._encoder = as_encoder(network)
        self.channels, self.strides = self._encoder.level_channels, self._encoder.level_strides
        self.size_divisor = self._encoder.size_divisor

    @classmethod
    def of(cls, recipe: TeacherRecipe, sides: Iterable[int]) -> Self:
        """Build the teacher of a recipe; torch's random state stays as it is.

        Args:
            recipe: names the base and the levels.
            sides: of all images that it will be shown, in pixels.

        Raises:
            UsageError: the base is not on this machine, is no timm model, or cannot see images of such a side.
        """
        model = TimmModel(encoder="timm", base=recipe.base, pretrained=recipe.pretrained, levels=recipe.levels)
        with torch.random.fork_rng(devices=[]):
            teacher = cls(build_encoder(model, frozen=True)[0])
        if wrong := [side for side in sides if side % teacher.size_divisor]:
            raise UsageError(
                f"teacher.base = '{recipe.base}': expected images whose sides are multiples of {teacher.size_divisor}, "
                f"got {wrong[0]}. Change scenes.size, scenes.parts or teacher.crop."
            )
        return teacher

    def to(self, device: torch.device) -> Self:
        """Move the network there."""
        self.network.to(device)
        return self

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images uint8 (B, 3, H, W) -> maps (B, channels[i], H / strides[i], W / strides[i]), without gradients."""
        return self._encoder(normalised(self._encoder, images), levels=True)


class Imitator(nn.Module):
    """Tells a teacher's maps from the encoder's features. Thrown away after the training, like the decoder.

    A map finer than the features is told by one linear map for all the cells within a token. Each starts at zero, so
    that the encoder is not pulled anywhere before the map has learned something.

    Args:
        channels: of the features, at `stride` pixels per cell.
        stride: of the features.
        of: whose maps.

    Attributes:
        statistics: mean and variance of each of the teacher's channels, over all that was seen in training mode.
    """

    def __init__(self, channels: int, stride: int, of: Teacher) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, told * (stride // finer) ** 2, 1), nn.PixelShuffle(stride // finer))
            for told, finer in zip(of.channels, of.strides, strict=True)
        )
        for level in self.levels:
            for parameter in level.parameters():
                nn.init.zeros_(parameter)
        self.statistics = nn.ModuleList(
            nn.BatchNorm2d(told, eps=_EPS, affine=False, momentum=None) for told in of.channels
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """Features (B, channels, h, w) -> what the teacher's standardised maps are thought to be."""
        return [level(features) for level in self.levels]

    @torch.no_grad()
    def standardised(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Give every channel of the teacher's maps mean 0 and variance 1 over all that was seen in training."""
        found = []
        for statistic, level in zip(cast(Sequence[nn.BatchNorm2d], self.statistics), maps, strict=True):
            if self.training:
                statistic(level)  # for what it remembers; a batch alone is too few images to be standardised by
            found.append(F.batch_norm(level, statistic.running_mean, statistic.running_var, eps=_EPS))
        return found

    def error(self, features: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Return the mean squared error of the standardised maps, averaged over the levels; a scalar."""
        pairs = zip(self(features), self.standardised(maps), strict=True)
        return torch.stack([F.mse_loss(guess, wanted) for guess, wanted in pairs]).mean()


@dataclass(frozen=True)
class Lesson:
    """What is learned from a teacher: an encoder, and beside it what tells the teacher's maps from its features."""

    teacher: Teacher
    imitator: Imitator
    encoder: SamEncoder

    @classmethod
    def of(cls, teacher: Teacher, encoder: SamEncoder) -> Self:
        """Put a fresh imitator beside an encoder; torch's random state stays as it is."""
        with torch.random.fork_rng(devices=[]):
            return cls(teacher, Imitator(encoder.out_channels, encoder.stride, teacher), encoder)

    def error(self, images: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the error of the imitation, a scalar; in training mode the teacher's statistics learn of the images.

        Args:
            images: uint8 (B, 3, H, W), on the model's device.
            features: what the encoder makes of them, where that is known.
        """
        if features is None:
            features = self.encoder(normalised(self.encoder, images))[0]
        return self.imitator.error(features, self.teacher(images))

    @torch.no_grad()
    def score(self, batches: Iterable[Tensor]) -> float:
        """Return how far the imitation is off on held-out images, in evaluation mode; all is training afterwards.

        Args:
            batches: uint8 (B, 3, H, W), on the model's device.

        Returns:
            The squared error divided by that of predicting each channel's mean over these images, averaged over levels.
        """
        self.imitator.eval()
        self.encoder.eval()
        told, wanted = [], []
        for images in batches:
            told.append(self.imitator(self.encoder(normalised(self.encoder, images))[0]))
            wanted.append(self.imitator.standardised(self.teacher(images)))
        self.imitator.train()
        self.encoder.train()
        levels = zip(_joined(told), _joined(wanted), strict=True)
        return float(torch.stack([_unexplained(guess, right) for guess, right in levels]).mean())


def _joined(batches: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Maps (B, C, h, w) of each batch and level -> (C, N) a level, all its cells in all batches, on the CPU."""
    return [
        torch.cat([level.transpose(0, 1).flatten(1).cpu() for level in of], dim=1) for of in zip(*batches, strict=True)
    ]


def _unexplained(guess: Tensor, right: Tensor) -> Tensor:
    """Share of the variance of channels (C, N) that a guess leaves; 1 for a guess of each channel's mean."""
    naive = right.var(1, correction=0).mean()
    return F.mse_loss(guess, right) / naive.clamp(min=1e-9)
