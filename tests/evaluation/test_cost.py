import types

import pytest
import torch

from sam_mprompt import products
from sam_mprompt.errors import UsageError
from sam_mprompt.evaluation.cost import flop_counter, measure_cost
from sam_mprompt.recipe.schema import load_recipe


def cost_of(recipe, size):
    return measure_cost(recipe.model, recipe.tuning, size, segmenter=recipe.loss.segmentation > 0)


def parts_of(recipe, *overrides, size=(64, 64)):
    return {part.name: part for part in cost_of(load_recipe(recipe, overrides), size).parts}


def test_parameters_and_multiply_adds_are_those_one_counts_by_hand(tiny_recipe):
    # tiny_base: 32 channels, 2 blocks, MLP 4 * 32, 16 output channels, 4 x 4 tokens of 16 pixels at 64 x 64
    parts = parts_of(tiny_recipe, "tuning.bottleneck=8", "model.density_stride=16")
    modules, tokens = 4, 16
    assert parts["encoder adapter"].total == modules * (2 * 32 * 8 + 8 + 32)
    assert parts["encoder adapter"].macs == modules * 2 * 32 * 8 * tokens
    head = 9 * (16 * 128 + 128 * 64 + 64 * 32) + 32
    assert parts["regressor"].macs == head * tokens
    assert parts["regressor"].total == head + 1 + 2 * (128 + 64 + 32)  # a bias, and the batch norms
    linear = 2 * (4 * 32 * 32 + 2 * 32 * 128)  # qkv and proj, and the MLP, of two blocks
    neck_and_patches = 32 * 16 + 9 * 16 * 16 + 3 * 16 * 16 * 32
    attention = 2 * (2 * 32 * tokens + 2 * 32 * 4)  # q k^T and p v with 16 keys each, and two tables of four distances
    assert parts["encoder"].macs == (linear + neck_and_patches + attention) * tokens


def test_an_encoder_costs_the_same_whether_or_not_its_levels_are_fused(tiny_recipe):
    plain, fused, beside = (
        parts_of(tiny_recipe, *more)
        for more in ([], ["model.fuse_levels=true"], ["tuning.method=side", "tuning.bottleneck=8"])
    )
    assert plain["encoder"].macs == fused["encoder"].macs == beside["encoder"].macs > 0
    assert plain["encoder adapter"].macs == fused["encoder adapter"].macs > 0


def test_the_adapter_holds_prompt_modules_and_regressor_but_neither_base_nor_segmenter(tiny_recipe):
    parts = parts_of(tiny_recipe)
    stored = {name: part.stored for name, part in parts.items() if part.stored}
    assert stored == {name: parts[name].total for name in ("encoder adapter", "regressor")}
    assert parts["encoder"].trainable == 0 < parts["segmenter"].trainable


def test_a_gate_keeps_the_segmenters_trunk_and_a_native_recipe_the_encoder(tiny_recipe):
    parts = parts_of(tiny_recipe, "model.gate=segmenter", "tuning.method=full")
    assert parts["segmenter"].stored == parts["segmenter"].total - 33  # without the mask convolution
    assert parts["encoder"].stored == parts["encoder"].trainable == parts["encoder"].total


def test_twice_the_pixels_cost_about_twice_as_much(tiny_recipe):
    one, two = (cost_of(load_recipe(tiny_recipe), (64, width)) for width in (64, 128))
    assert two.activations == pytest.approx(2 * one.activations, rel=0.1)
    assert sum(p.macs for p in two.parts) == pytest.approx(2 * sum(p.macs for p in one.parts), rel=0.1)


def test_a_trained_encoder_keeps_more_than_a_frozen_one(tiny_recipe):
    frozen, whole = (cost_of(load_recipe(tiny_recipe, more), (64, 64)) for more in ([], ["tuning.method=full"]))
    assert whole.activations > frozen.activations


@pytest.mark.slow
def test_sam_base_is_described_without_its_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", str(tmp_path))
    parts = parts_of("shb", size=(32, 32))
    assert parts["encoder"].total == 89_670_912
    assert parts["encoder adapter"].total == pytest.approx(7.10e6, rel=0.01)


def test_an_unknown_base_and_an_empty_image_are_refused(tiny_recipe):
    with pytest.raises(UsageError, match="No base 'nothing'"):
        cost_of(load_recipe(tiny_recipe, ["model.base=nothing"]), (64, 64))
    with pytest.raises(UsageError, match="a size of 1x1 to 8192x8192"):
        cost_of(load_recipe(tiny_recipe), (0, 64))
    with pytest.raises(UsageError, match="a size of 1x1 to 8192x8192"):
        cost_of(load_recipe(tiny_recipe), (64, 2**63))


def test_products_are_counted_whichever_library_multiplies(monkeypatch):
    x, weight = torch.randn(2, 3, 7), torch.randn(11, 7)
    for ours in (False, torch.backends.mkldnn.is_available()):
        monkeypatch.setattr(products, "onednn_is_faster", lambda ours=ours: ours)
        with flop_counter() as counted:
            products.product(x, weight)
            products.product(x, products.laid_out(weight, 6))
        assert counted.get_total_flops() == 2 * 2 * (2 * 3 * 7 * 11)


def test_operations_are_counted_where_pytorch_has_no_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", types.SimpleNamespace())
    with flop_counter() as counted:
        torch.randn(2, 3) @ torch.randn(3, 5)
    assert counted.get_total_flops() == 2 * 2 * 3 * 5
