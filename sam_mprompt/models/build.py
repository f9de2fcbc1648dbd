"""From a recipe to a counter: find the base, attach what is trained, put the heads on top."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..bases.locate import RandomBase, resolve
from ..bases.weights import encoder_tensors, fingerprint, read_outline
from ..errors import UsageError
from ..recipe.model import Model, TimmModel
from ..recipe.tuning import Peft, Prompts, Side, Tuning
from .counter import CrowdCounter
from .sam_config import CONFIGS, SamConfig
from .sam_encoder import SamEncoder
from .timm_base import timm_base, timm_model, timm_weights

if TYPE_CHECKING:
    from .timm_encoder import TimmEncoder


@dataclass(frozen=True)
class Base:
    """The encoder's origin.

    Attributes:
        name: checkpoint name or file, as the recipe gives it.
        fingerprint: of the encoder's tensors before anything was attached.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True)
class BuiltCounter:
    """A counter and the base it stands on."""

    counter: CrowdCounter
    base: Base


def build_encoder(
    model: Model, base: str | None = None, *, frozen: bool, weights: bool = True
) -> tuple[nn.Module, Base]:
    """Return the bare encoder of a recipe's `model` and its origin.

    Args:
        model: names the family and the base.
        base: checkpoint name or file that replaces the model's; for timm a model name, a registered base, or a file of
            its weights.
        frozen: it will not train, so that weights of no file are drawn alike each time.
        weights: False leaves a timm model's weights out: all its tensors are about to be replaced.

    Raises:
        UsageError: the base is not on disk (and how to get it), or is no checkpoint of this family.
    """
    name = base or model.base
    encoder: nn.Module
    if model.encoder == "sam":
        encoder = SamEncoder.from_checkpoint(name, positions=model.positions)
    else:
        pretrained = model.pretrained and weights
        file = timm_weights(model, name) if weights else ""
        name = timm_base(model, name)
        with _fixed_draw(frozen and not pretrained):
            encoder = _timm(model, name, pretrained=pretrained, file=file)
    return encoder, Base(name, fingerprint(encoder.state_dict()))


def build_outline(model: Model, base: str | None = None) -> nn.Module | None:
    """Return the encoder of a recipe's `model` on the meta device, where tensors have shapes and take no memory.

    None for a SAM encoder in a checkpoint file, whose shapes only the file tells: see `outline_of`.

    Raises:
        UsageError: as `build_encoder`, but for what only weights tell.
    """
    name = base or model.base
    with torch.device("meta"):
        if model.encoder == "timm":
            return _timm(model, timm_base(model, name), pretrained=False, file="")
        found = resolve(name)
        if isinstance(found, RandomBase) and found.config in CONFIGS:
            return SamEncoder(CONFIGS[found.config], positions=model.positions)
    return None


def outline_on_disk(model: Model, base: str) -> nn.Module | None:
    """Return a SAM encoder on the meta device, also that of a file, of which names and shapes alone are read.

    None where there is no such file on this machine, or one that is no SAM encoder; and for a timm model, which has to
    be built to be measured: seconds for a large one.
    """
    if model.encoder != "sam":
        return None
    try:
        found = resolve(base)
        if isinstance(found, RandomBase):
            return build_outline(model, base)
        config = SamConfig.from_tensors(encoder_tensors(read_outline(found)))
    except UsageError:
        return None
    with torch.device("meta"):
        return SamEncoder(config, positions=model.positions)


def outline_of(encoder: SamEncoder) -> SamEncoder:
    """Return an encoder of the same shape on the meta device."""
    with torch.device("meta"):
        return SamEncoder(encoder.config, positions=encoder.positions)


def _timm(model: TimmModel, name: str, *, pretrained: bool, file: str) -> "TimmEncoder":
    from .timm_encoder import TimmEncoder  # timm's import takes seconds, and SAM's encoder needs none of it

    return TimmEncoder(
        timm_model(name),
        pretrained=pretrained,
        join=model.density_stride,
        levels=model.levels,
        stem_stride=model.stem_stride,
        weights=file,
        pruned=timm_model(name) != name,
    )


@contextmanager
def _fixed_draw(fixed: bool) -> Iterator[None]:
    """Draw weights from a seed of their own: a frozen base that no file holds must come out the same when loaded."""
    if not fixed:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def build_counter(
    model: Model, tuning: Tuning, *, segmenter: bool, regressor: bool = True, bins: int = 0
) -> BuiltCounter:
    """Return a counter ready for training: prompts attached, base frozen, decoders fresh from torch's random state.

    Args:
        model: the encoder and what stands on it.
        tuning: what of the encoder is trained.
        segmenter: whether there is one.
        regressor: whether it trains.
        bins: of the distribution that is predicted for each cell, 0 for a density alone.

    Raises:
        UsageError: as `build_encoder`, or the tuning method does not fit the encoder.
    """
    from ..tuning.attach import attach  # of what trains, through peft

    encoder, base = build_encoder(model, frozen=tuning.method != "full")
    if isinstance(tuning, Prompts | Peft):
        tuned = attach(
            encoder,
            tuning.method,
            placement=tuning.placement,
            blocks=tuning.blocks,
            options=tuning.peft_options,
        )
    else:
        tuned = attach(encoder, tuning.method)
    counter = add_decoders(tuned, model, tuning, segmenter=segmenter, bins=bins)
    if not regressor:
        counter.regressor.requires_grad_(False)
    return BuiltCounter(counter, base)


def add_decoders(encoder: nn.Module, model: Model, tuning: Tuning, *, segmenter: bool, bins: int = 0) -> CrowdCounter:
    """Put what a recipe has beside and behind its encoder there, fresh. Raises UsageError as `CrowdCounter`."""
    side = tuning.bottleneck if isinstance(tuning, Side) else 0
    return CrowdCounter(encoder, model, segmenter=segmenter, side=side, bins=bins)
