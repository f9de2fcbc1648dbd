import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_encoders import features_of
from torch import Tensor
from transformers import SamConfig as HubConfig
from transformers import SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig, SamVisionModel

from sam_mprompt.bases.names import NAMINGS, OFFICIAL, TIMM, TRANSFORMERS, encoder_names, naming_of
from sam_mprompt.bases.weights import encoder_tensors, fingerprint, open_checkpoint
from sam_mprompt.errors import UsageError
from sam_mprompt.masks.point_prompter import PointPrompter
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder

SMALL = SamConfig(embed_dim=24, depth=3, num_heads=2, global_attn_indexes=(1,), mlp_dim=40, out_channels=16, grid=16)


def vision_config(config: SamConfig) -> SamVisionConfig:
    return SamVisionConfig(
        image_size=config.grid * config.patch,
        patch_size=config.patch,
        hidden_size=config.embed_dim,
        mlp_dim=config.mlp_dim,
        output_channels=config.out_channels,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        window_size=config.window_size,
        global_attn_indexes=list(config.global_attn_indexes),
        num_pos_feats=config.out_channels // 2,
    )


def with_values(model: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter a value, where transformers starts some at zero, as small as in a trained network."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if "pos" in name else parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + ("norm" in name))
    return model.eval()


def in_transformers(config: SamConfig) -> SamVisionModel:
    return with_values(SamVisionModel(vision_config(config)))


def whole_sam(config: SamConfig) -> dict[str, Tensor]:
    """What a repository of the hub holds: encoder, prompt encoder, mask decoder and the embedding that both share."""
    parts = HubConfig(
        vision_config=vision_config(config),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=config.out_channels, image_size=config.grid * config.patch, patch_size=config.patch
        ),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=config.out_channels,
            mlp_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            iou_head_hidden_dim=8,
        ),
    )
    return dict(with_values(SamModel(parts)).state_dict())


def in_timm(official: dict[str, Tensor]) -> dict[str, Tensor]:
    return {re.sub(r"mlp\.lin(\d)", r"mlp.fc\1", name): tensor for name, tensor in official.items()}


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    safetensors.torch.save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("config", [SMALL, CONFIGS["slimsam-77"]], ids=["small", "slimsam-77"])
def test_features_equal_those_of_transformers(config: SamConfig, tmp_path: Path) -> None:
    theirs = in_transformers(config)
    ours = SamEncoder.from_checkpoint(saved(tmp_path / "model.safetensors", theirs.state_dict())).eval()
    assert ours.config == config
    side = 224
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    tokens = side // config.patch
    table = ours.resampled.get(ours.pos_embed, (tokens, tokens))
    # transformers takes images of one size only: this is the same encoder made for this one.
    there = theirs.vision_encoder
    there.pos_embed.data = table.clone()
    there.patch_embed.image_size = (side, side)
    with torch.inference_mode():
        expected = there(x).last_hidden_state
        assert expected.std() > 0.1
        assert (features_of(ours, x) - expected).abs().max() <= 1e-5


def test_slimsam_has_the_published_shape() -> None:
    config = CONFIGS["slimsam-77"]
    assert (config.embed_dim, config.mlp_dim, config.num_heads, config.depth) == (168, 696, 12, 12)
    with torch.device("meta"):
        encoder = SamEncoder(config)
        tensors = SamVisionModel(vision_config(config)).state_dict()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(5.66e6, rel=2e-3)
    assert SamConfig.from_tensors(encoder_names(tensors)) == config


def test_a_whole_sam_of_the_hub_loads_and_its_decoder_is_left_out(tmp_path: Path) -> None:
    tensors = whole_sam(SMALL)
    path = saved(tmp_path / "medsam.safetensors", tensors)
    encoder = SamEncoder.from_checkpoint(path)
    assert encoder.config == SMALL
    assert torch.equal(encoder.blocks[2].norm2.weight, tensors["vision_encoder.layers.2.layer_norm2.weight"])
    assert torch.equal(encoder.neck[3].bias, tensors["vision_encoder.neck.layer_norm2.bias"])
    assert fingerprint(open_checkpoint(path)) == fingerprint(encoder.state_dict())


def test_the_three_namings_have_one_fingerprint() -> None:
    theirs = dict(in_transformers(SMALL).state_dict())
    official = encoder_tensors(theirs)
    bare = {name.removeprefix("vision_encoder."): tensor for name, tensor in theirs.items()}
    prefixed = {f"image_encoder.{name}": tensor for name, tensor in official.items()}
    copies = [theirs, bare, official, prefixed, in_timm(official)]
    assert len({fingerprint(copy) for copy in copies}) == 1
    assert [naming_of(copy) for copy in copies] == [TRANSFORMERS, TRANSFORMERS, OFFICIAL, OFFICIAL, TIMM]


def test_every_official_name_is_reached_from_every_naming_once() -> None:
    with torch.device("meta"):
        official = set(SamEncoder(SMALL).state_dict())
        theirs = set(SamVisionModel(vision_config(SMALL)).state_dict())
    assert set(encoder_names(dict.fromkeys(theirs))) == official
    assert len(theirs) == len(official)
    assert set(encoder_names(dict.fromkeys(in_timm(dict.fromkeys(official))))) == official


@given(names=st.lists(st.text(st.characters(codec="ascii"), min_size=1), max_size=5, unique=True))
def test_names_of_other_models_stay_as_they_are(names: list[str]) -> None:
    given_names = dict.fromkeys(names, 0)
    if naming_of(given_names) is None and not any(name.startswith(OFFICIAL.prefix) for name in names):
        assert encoder_names(given_names) == given_names


def test_a_tensor_beside_a_whole_sam_is_refused_in_transformers_naming_too() -> None:
    with pytest.raises(UsageError, match=r"does not have: density_head\.weight"):
        encoder_tensors(whole_sam(SMALL) | {"density_head.weight": torch.ones(1)})


def test_masks_ask_for_the_official_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "sam.safetensors", whole_sam(SMALL))
    with pytest.raises(UsageError, match=r"in the naming of transformers.* official naming, such as sam_vit_b"):
        PointPrompter.from_checkpoint(path)


def test_each_naming_is_told_by_a_mark_of_its_own() -> None:
    assert len({naming.mark for naming in NAMINGS}) == len(NAMINGS)
