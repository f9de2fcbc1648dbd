"""The weights that a base starts from: another base's, or fresh ones.

Fresh are blocks that add little, and tokens that start as the whitened components of patches.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from ..models.encoder import Encoder
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
    """Return the model to train and the encoder inside it, with the weights of `train.init_from` or fresh ones.

    Those of the decoder are always fresh, of the recipe's seed. In a fresh encoder position tables start at zero: what
    no training size reads of them then stays smooth. Its tokens start as the whitened principal components of patches,
    and its blocks add little to them: all of a patch that fits in reaches the decoder from the first step.

    Raises:
        UsageError: an encoder that cannot be; or what it starts from is not here, or has another shape.
    """
    config = SamConfig(**recipe.encoder.model_dump())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        encoder = SamEncoder(config)
        if recipe.train.init_from:
            encoder.load_state_dict(_trained(recipe.train.init_from, config))
        else:
            whiten(encoder, recipe.scenes, seed=recipe.train.seed + 2_000_003)
            for name, parameter in encoder.blocks.named_parameters():
                if name.endswith(_BRANCH_ENDS):
                    parameter.data /= math.sqrt(2 * config.depth)  # GPT-2's rule for residual branches
        return PromptedSegmenter(encoder, ThingDecoder(config.out_channels, recipe.task.embedding)), encoder


def _trained(base: str, config: SamConfig) -> dict[str, Tensor]:
    """Return the tensors of an encoder of that shape. Raises UsageError as `build`."""
    trained = SamEncoder.from_checkpoint(base)
    expected, found = vars(config), vars(trained.config)
    if wrong := [
        f"{name} = {found[name]} instead of {value}" for name, value in expected.items() if found[name] != value
    ]:
        raise UsageError(
            f"train.init_from = '{base}' has another shape than the recipe's [encoder]: {', '.join(wrong)}."
        )
    return trained.state_dict()


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


def normalised(encoder: Encoder, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) from uint8 to what an encoder expects."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (encoder.mean, encoder.std))
    return normalise(images, mean, std)
