"""The parts that are written out here compute what `segment_anything`'s do, under its names."""

import pytest
import torch
from segment_anything.modeling import common, image_encoder

from sam_mprompt.models.sam_parts import LayerNorm2d, MLPBlock, PatchEmbed, window_partition, window_unpartition


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (MLPBlock(6, 10), common.MLPBlock(6, 10), (2, 3, 5, 6)),
        (LayerNorm2d(6), common.LayerNorm2d(6), (2, 6, 3, 5)),
        (PatchEmbed(4, 6), image_encoder.PatchEmbed((4, 4), (4, 4), embed_dim=6), (2, 3, 8, 12)),
    ],
    ids=["MLPBlock", "LayerNorm2d", "PatchEmbed"],
)
def test_a_part_has_the_tensors_and_gives_the_numbers_and_gradients_of_the_official_one(ours, theirs, shape):
    for tensor in ours.parameters():
        torch.nn.init.normal_(tensor)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(shape, requires_grad=True)
    found, expected = ours(images), theirs(images)
    assert torch.equal(found, expected)
    (gradient,), (right,) = (torch.autograd.grad(out.square().sum(), images) for out in (found, expected))
    torch.testing.assert_close(gradient, right)


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (5, 9), (3, 2), (4, 7), (9, 4)])
def test_tokens_are_cut_into_windows_and_put_together_as_the_official_encoder_does(size):
    tokens = torch.randn(2, *size, 3)
    windows, padded = window_partition(tokens, 4)
    official, official_padded = image_encoder.window_partition(tokens, 4)
    assert padded == official_padded
    assert torch.equal(windows, official)
    again = window_unpartition(windows, 4, padded, size)
    assert torch.equal(again, tokens)
    assert again.is_contiguous()
