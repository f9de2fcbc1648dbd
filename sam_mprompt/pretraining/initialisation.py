"""Fresh weights of a base: blocks that add little, and tokens that start as the whitened components of patches."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.normalise import normalise
from ..models.sam_config import SamConfig
from ..models.sam_encoder import SamEncoder
from .recipe import PretrainRecipe, SceneRecipe
from .scenes import PromptedScenes
from .thing_decoder import PromptedSegmenter, ThingDecoder

_BRANCH_ENDS = ("attn.proj.weight", "mlp.lin2.weight")
_PATCH_SCENES = 12
_PATCH_FLOOR = 0.02  # of a component's variance; what is below is noise


def build(recipe: PretrainRecipe) -> tuple[PromptedSegmenter, SamEncoder]:
    """Return the model to train, with fresh weights of the recipe's seed, and the encoder inside it.

    Position tables start at zero: what no training size reads of them then stays smooth. Tokens start as the whitened
    principal components of patches, and blocks add little to them: all of a patch that fits in reaches the decoder from
    the first step.

    Raises:
        UsageError: an encoder that cannot be.
    """
    config = SamConfig(**recipe.encoder.model_dump())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        encoder = SamEncoder(config)
        whiten(encoder, recipe.scenes, seed=recipe.train.seed + 2_000_003)
        for name, parameter in encoder.blocks.named_parameters():
            if name.endswith(_BRANCH_ENDS):
                parameter.data /= math.sqrt(2 * config.depth)  # GPT-2's rule for residual branches
        return PromptedSegmenter(encoder, ThingDecoder(config.out_channels, recipe.task.embedding)), encoder


@torch.no_grad()
def whiten(encoder: SamEncoder, recipe: SceneRecipe, *, seed: int) -> None:
    """Set the patch embedding to the principal components of the patches of a few scenes, each of variance 1."""
    scenes = PromptedScenes(recipe, scenes=_PATCH_SCENES, prompts=1, seed=seed)
    projection, side = encoder.patch_embed.proj, encoder.stride
    assert projection.bias is not None
    patches = F.unfold(normalised(encoder, scenes[0].images), side, stride=side).mT.flatten(0, 1).double()
    mean = patches.mean(0)
    variances, components = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    count = min(len(projection.weight), len(variances))
    chosen = (components / (variances.clamp(min=0) + _PATCH_FLOOR).sqrt()).T.flip(0)[:count]
    projection.weight[:count] = chosen.view(count, *projection.weight.shape[1:]).float()
    projection.bias[:count] = -(chosen @ mean).float()


def normalised(encoder: SamEncoder, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) from uint8 to what the encoder expects."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (encoder.mean, encoder.std))
    return normalise(images, mean, std)
