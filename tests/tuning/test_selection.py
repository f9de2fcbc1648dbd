import re

import pytest
from small_encoders import small_sam, small_swin, small_vit
from torch import nn
from tuned import adapted, tune

from sam_mprompt.tuning.selection import block_width, target_modules


def test_lora_hits_the_linear_layers_of_blocks_and_never_the_patch_embedding():
    linears = {"attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"}
    assert adapted(tune(small_sam(), "lora")) == {f"blocks.{n}.{linear}" for n in (0, 1) for linear in linears}
    linears = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"}
    assert adapted(tune(small_vit(), "lora")) == {f"blocks.{n}.{linear}" for n in (0, 1) for linear in linears}
    in_stages = {f"layers.{s}.blocks.{n}.{linear}" for s in (0, 1) for n in (0, 1) for linear in linears}
    assert adapted(tune(small_swin(), "lora")) == in_stages


def test_an_encoder_inside_another_module_is_adapted_as_well():
    wrapped = nn.ModuleDict({"model": small_sam()})
    assert re.fullmatch(target_modules(wrapped, "prompt", ["mlp"], "all"), "model.blocks.1.mlp")
    assert not re.fullmatch(target_modules(wrapped, "prompt", ["mlp"], [0]), "model.blocks.1.mlp")


def test_placement_and_blocks_choose_what_is_adapted():
    assert adapted(tune(small_sam(), placement=["mlp"], blocks=[1])) == {"blocks.1.mlp"}
    assert adapted(tune(small_sam(depth=12), placement=("attention",), blocks=(1, 11))) == {
        "blocks.1.attn",
        "blocks.11.attn",
    }
    assert adapted(tune(small_sam(), "lora", placement=["attention"])) == {
        f"blocks.{n}.attn.{linear}" for n in (0, 1) for linear in ("qkv", "proj")
    }
    assert adapted(tune(small_sam(), "ln_tuning", placement=["mlp"])) == {"blocks.0.norm2", "blocks.1.norm2"}
    assert adapted(tune(small_sam(), "ia3", blocks=[0])) == {"blocks.0.attn.qkv", "blocks.0.mlp.lin2"}


def test_blocks_are_counted_through_all_stages_of_a_swin():
    encoder = tune(small_swin(), blocks=[1, 2])
    assert adapted(encoder) == {
        f"layers.{place}.{sub}" for place in ("0.blocks.1", "1.blocks.0") for sub in ("attn", "mlp")
    }


@pytest.mark.parametrize("make", [small_sam, small_vit])
def test_a_blocks_width_is_that_of_the_norm_beside_its_mlp(make):
    assert block_width(make().blocks[0]) == 16
    assert block_width(nn.Sequential(nn.Linear(3, 3))) is None


def test_the_width_of_a_swins_blocks_grows_with_their_stage():
    assert [block_width(layer.blocks[0]) for layer in small_swin().layers] == [16, 32]
