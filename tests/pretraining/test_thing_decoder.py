import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.pretraining.thing_decoder import (
    CELL,
    MAPS,
    PromptedSegmenter,
    ThingDecoder,
    mask_iou,
    mask_loss,
    offset_loss,
)

CONFIG = SamConfig(embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=8, window_size=2, grid=4)


def test_masks_and_maps_have_a_quarter_of_the_images_resolution():
    model = PromptedSegmenter(SamEncoder.random(CONFIG), ThingDecoder(8, embedding=4))
    masks, maps, offsets, colours = model(torch.randn(2, 3, 32, 64), torch.zeros(2, 5, dtype=torch.int64))
    assert masks.shape == (2, 5, 32 // CELL, 64 // CELL)
    assert maps.shape == (2, len(MAPS), 32 // CELL, 64 // CELL)
    assert offsets.shape == (2, 2, 32 // CELL, 64 // CELL)
    assert colours.shape == (2, 3, 32 // CELL, 64 // CELL)


@given(row=st.integers(0, 7), column=st.integers(0, 11))
@settings(max_examples=20, deadline=None)
def test_without_knowledge_of_the_image_a_mask_surrounds_its_prompt(row, column):
    decoder = ThingDecoder(8, embedding=4)
    with torch.no_grad():
        decoder.output.weight.zero_()
        decoder.output.bias.zero_()
    masks = decoder(torch.randn(1, 8, 2, 3), torch.tensor([[row * 12 + column]])).masks
    assert divmod(int(masks[0, 0].argmax()), 12) == (row, column)
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
    distance = ((rows - row) ** 2 + (columns - column) ** 2).flatten()
    order = masks[0, 0].flatten()[distance.argsort()]
    assert (order.diff() <= 1e-4).all()


def test_masks_follow_their_prompts_and_not_their_order():
    decoder, features = ThingDecoder(8, embedding=4), torch.randn(1, 8, 2, 2)
    prompts = torch.tensor([[3, 40, 17]])
    masks = decoder(features, prompts).masks
    turned = decoder(features, prompts.flip(1)).masks
    torch.testing.assert_close(turned.flip(1), masks)


def test_every_parameter_of_encoder_and_decoder_learns():
    model = PromptedSegmenter(SamEncoder.random(CONFIG), ThingDecoder(8, embedding=4))
    masks, maps, offsets, colours = model(torch.randn(2, 3, 64, 64), torch.randint(0, 256, (2, 6)))
    targets = torch.rand_like(masks), torch.rand_like(maps)
    plain = offsets.square().mean() + colours.square().mean()
    (mask_loss(masks, targets[0]) + mask_loss(maps, targets[1]) + plain).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []


def test_the_loss_is_near_zero_for_the_right_mask_and_large_for_the_opposite():
    target = torch.zeros(1, 2, 8, 8)
    target[..., 2:5, 3:6] = 1
    right = (target - 0.5) * 40
    assert mask_loss(right, target) < 1e-3
    assert mask_loss(-right, target) > 5


def test_the_loss_does_not_depend_on_how_many_masks_there_are():
    logits, target = torch.randn(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    several = mask_loss(logits.repeat(4, 1, 1, 1), target.repeat(4, 1, 1, 1))
    assert several == pytest.approx(float(mask_loss(logits, target)), rel=1e-5)


def test_a_missed_small_thing_costs_as_much_overlap_as_a_missed_large_one():
    nothing = torch.full((1, 1, 32, 32), -20.0)
    small, large = torch.zeros(2, 1, 1, 32, 32)
    small[..., :2, :2] = 1
    large[..., :20, :20] = 1
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    dice = [mask_loss(nothing, target) - entropy(nothing, target) for target in (small, large)]
    assert float(dice[0]) == pytest.approx(float(dice[1]), abs=0.25)


def test_iou_is_the_share_of_the_union():
    wanted = torch.zeros(1, 4, 4, dtype=torch.bool)
    wanted[:, :2] = True
    logits = torch.full((1, 4, 4), -1.0)
    logits[:, 1:3] = 1.0
    assert mask_iou(logits, wanted).tolist() == pytest.approx([4 / 12])
    assert mask_iou(torch.full((1, 4, 4), -1.0), torch.zeros(1, 4, 4, dtype=torch.bool)).tolist() == [1.0]


def test_offsets_are_compared_on_things_alone():
    labels, targets = torch.zeros(1, 4, 4, dtype=torch.int32), torch.zeros(1, 2, 4, 4)
    labels[0, :2, :2] = 5
    guess = torch.full((1, 2, 4, 4), 9.0)
    guess[..., :2, :2] = 0.5
    assert float(offset_loss(guess, targets, labels)) == pytest.approx(0.25)
    assert float(offset_loss(guess, targets, torch.zeros_like(labels))) == 0
