import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sam_mprompt.losses.counts import BinStatistics
from sam_mprompt.models.decoders import (
    BlockOutput,
    ConvBlock,
    Decoder,
    LevelFusion,
    PyramidSideNetwork,
    ResidualBlock,
    ReviveReLU,
    SideNetwork,
    Stem,
)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def widths(module):
    return [(m.in_channels, m.out_channels) for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_a_block_is_convolution_normalisation_and_relu():
    block = ConvBlock(3, 5).train()
    x = noise(2, 3, 6, 6)
    convolution = F.conv2d(x, block[0].weight, padding=1)
    mean, var = convolution.mean((0, 2, 3), keepdim=True), convolution.var((0, 2, 3), correction=0, keepdim=True)
    before = (convolution - mean) / (var + 1e-5).sqrt()
    torch.testing.assert_close(block.before_relu(x), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(block(x), before.relu(), rtol=1e-4, atol=1e-5)
    assert block[0].bias is None
    assert [type(part) for part in block] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_a_block_overwrites_its_own_normalised_map_and_not_what_it_was_given():
    block, x = ConvBlock(3, 5).eval(), noise(1, 3, 4, 4)
    kept = x.clone()
    assert block[2].inplace
    block(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_a_block_of_any_dilation_keeps_the_size_that_its_stride_leaves(stride, dilation):
    assert ConvBlock(2, 4, stride=stride, dilation=dilation)(noise(2, 2, 16, 24)).shape == (
        2,
        4,
        16 // stride,
        24 // stride,
    )


def test_a_residual_block_adds_what_a_block_makes():
    block, x = ResidualBlock(4, dilation=2).eval(), noise(1, 4, 8, 8)
    made = nn.Sequential(*block)(x.clone())
    assert made.any()
    assert torch.equal(block(x), x + made)
    assert block[0].dilation == (2, 2)
    assert ResidualBlock(4)[0].dilation == (1, 1)


def test_revive_relu_is_relu_and_lets_only_rising_gradients_reach_negative_inputs():
    x = torch.tensor([-1.0, -1.0, 0.0, 0.0, 2.0, 2.0], requires_grad=True)
    y = ReviveReLU.apply(x)
    assert y.tolist() == [0, 0, 0, 0, 2, 2]
    y.backward(torch.tensor([-3.0, 3.0, -3.0, 3.0, -3.0, 3.0]))
    assert x.grad.tolist() == [-3, 0, -3, 0, -3, 3]  # a negative gradient raises what it reaches


@pytest.mark.parametrize("upsample", range(4))
def test_a_decoder_is_as_fine_as_its_upsamplings_say(upsample):
    decoder = Decoder(8, upsample=upsample)
    trunk = decoder.trunk(noise(2, 8, 4, 6))
    assert trunk.shape == (2, 32, 4 * 2**upsample, 6 * 2**upsample)
    assert decoder.output(trunk).shape == (2, 1, 4 * 2**upsample, 6 * 2**upsample)


def test_a_decoder_narrows_to_128_64_and_32_channels_and_one_map():
    assert widths(Decoder(8)) == [(8, 128), (128, 64), (64, 32), (32, 1)]
    assert widths(Decoder(8, stem_channels=5)) == [(8, 128), (128, 64), (69, 32), (32, 1)]
    assert Decoder(8).output.kernel_size == (1, 1)


@pytest.mark.parametrize("upsample", [1, 2, 3])
def test_the_last_blocks_see_their_input_twice_as_fine_between_cells(upsample):
    decoder = Decoder(8, upsample=upsample).eval()
    seen = []
    for block in (*decoder.blocks, decoder.last):
        block[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = noise(1, 8, 3, 5)
    decoder.trunk(x)
    first = [x, decoder.blocks[0](seen[0]), decoder.blocks[1](seen[1])]
    for i in range(3):
        if i < 3 - upsample:
            assert torch.equal(seen[i], first[i])
        else:
            twice = F.interpolate(first[i], scale_factor=2, mode="bilinear", align_corners=False)
            torch.testing.assert_close(seen[i], twice)
            assert seen[i].unique().numel() > first[i].unique().numel()  # nearest cells would only repeat them


def test_the_stems_detail_joins_the_last_block_behind_the_features():
    decoder = Decoder(8, stem_channels=3).eval()
    seen = []
    decoder.last[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    detail = noise(1, 3, 4, 4, seed=5)
    decoder.trunk(noise(1, 8, 4, 4), detail)
    assert seen[0].shape[1] == 64 + 3
    assert torch.equal(seen[0][:, 64:], detail)


def test_the_trunk_ends_before_its_last_relu_and_after_those_of_the_others():
    decoder = Decoder(8).eval()
    seen = []
    decoder.last[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    trunk = decoder.trunk(noise(2, 8, 6, 6))
    assert seen[0].min() == 0
    assert trunk.min() < 0 < trunk.max()


def test_the_output_for_blocks_is_one_convolution_to_emptiness_and_bins_that_starts_almost_at_zero():
    torch.manual_seed(0)
    output = BlockOutput(64, 99)
    assert widths(output) == [(64, 100)]
    assert output.kernel_size == (1, 1)
    assert output.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert output.weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert not output.bias.any()
    assert output.state_dict()["centres"].tolist() == list(range(1, 100))
    assert output.centres.dtype == torch.float32


def test_the_output_for_blocks_begins_as_what_is_known_of_all_of_them():
    output = BlockOutput(8, 3)
    seen = BinStatistics.of([np.array([[0, 0, 0, 1], [1, 2, 9, 0]], np.float32)], 3)
    output.begin(seen)
    counts = output.counts(output(torch.zeros(1, 8, 2, 2)))
    assert counts.centres.tolist() == pytest.approx(seen.centres.tolist())
    assert counts.emptiness.sigmoid().flatten().tolist() == pytest.approx([seen.emptiness] * 4)
    assert counts.bins.softmax(dim=1)[0, :, 1, 1].tolist() == pytest.approx(seen.frequencies.tolist())
    assert counts.density.flatten().tolist() == pytest.approx([13 / 8] * 4)


def test_the_first_logit_of_a_block_is_emptiness_and_the_others_are_its_bins():
    output, logits = BlockOutput(8, 3), noise(2, 4, 3, 5)
    counts = output.counts(logits)
    assert torch.equal(counts.emptiness, logits[:, :1])
    assert torch.equal(counts.bins, logits[:, 1:])
    assert counts.centres is output.centres


def test_a_stem_halves_until_its_stride_and_widens_its_view_by_dilations_of_one_two_and_four():
    stem = Stem(6, stride=8, blocks=5)
    assert widths(stem) == [(3, 6), *[(6, 6)] * 7]
    assert [block[0].stride for block in stem] == [(2, 2)] * 3 + [(1, 1)] * 5
    assert [block[0].dilation[0] for block in stem] == [1, 1, 1, 1, 2, 4, 1, 2]
    assert [type(block) for block in stem] == [ConvBlock] * 3 + [ResidualBlock] * 5
    assert len(Stem(6, stride=4)) == 2
    assert stem(noise(2, 3, 32, 48)).shape == (2, 6, 4, 6)


def test_fusion_starts_as_its_last_level_and_adds_the_projections_of_the_others():
    fusion = LevelFusion((3, 5, 4))
    levels = [noise(2, c, 4, 6, seed=c) for c in (3, 5, 4)]
    assert torch.equal(fusion(levels), levels[-1])
    for projection in fusion.projections:
        nn.init.normal_(projection.weight)
        nn.init.normal_(projection.bias)
    expected = levels[2] + fusion.projections[0](levels[0]) + fusion.projections[1](levels[1])
    torch.testing.assert_close(fusion(levels), expected)
    assert widths(fusion) == [(3, 4), (5, 4)]
    with pytest.raises(ValueError, match="zip"):
        fusion([levels[0], levels[2]])


def test_a_side_network_starts_as_the_last_level_and_climbs_from_the_first():
    side = SideNetwork((3, 5, 4), 7).eval()
    levels = [noise(2, c, 4, 6, seed=c) for c in (3, 5, 4)]
    assert torch.equal(side(levels), levels[-1])
    nn.init.normal_(side.output.weight)
    nn.init.normal_(side.output.bias)
    x = side.blocks[0](side.inputs[0](levels[0]))
    x = side.blocks[1](x + side.inputs[1](levels[1]))
    x = side.blocks[2](x + side.inputs[2](levels[2]))
    torch.testing.assert_close(side(levels), levels[2] + side.output(x))
    assert widths(side.inputs) == [(3, 7), (5, 7), (4, 7)]
    assert widths(side.output) == [(7, 4)]
    assert {conv.kernel_size for conv in (*side.inputs, side.output, *LevelFusion((3, 4)).projections)} == {(1, 1)}
    with pytest.raises(ValueError, match="zip"):
        side(levels[:2])


def test_what_stands_beside_an_encoder_says_how_many_channels_it_gives():
    assert LevelFusion((3, 5, 4)).out_channels == SideNetwork((3, 5, 4), 7).out_channels == 4
    assert PyramidSideNetwork((3, 5), (4, 8), stride=4, width=7).out_channels == 7


def test_revive_relu_passes_gradients_of_any_size_by_their_sign_alone():
    x = torch.tensor([-0.5, -0.5, 0.5, 0.5], requires_grad=True)
    ReviveReLU.apply(x).backward(torch.tensor([-0.25, 0.25, -0.25, 0.25]))
    assert x.grad.tolist() == [-0.25, 0, -0.25, 0.25]


def test_a_pyramid_is_climbed_from_its_coarsest_level_and_read_in_patches_of_one_cell():
    side = PyramidSideNetwork((3, 5, 4), (2, 4, 8), stride=4, width=7).eval()
    assert [(conv.in_channels, conv.kernel_size, conv.stride, conv.bias) for conv, _ in side.inputs] == [
        (3, (2, 2), (2, 2), None),
        (5, (1, 1), (1, 1), None),
        (4, (1, 1), (1, 1), None),
    ]
    for _, normalise in side.inputs:
        nn.init.normal_(normalise.weight)
        nn.init.normal_(normalise.bias)
    levels = [noise(2, 3, 8, 12), noise(2, 5, 4, 6), noise(2, 4, 2, 3)]
    x = side.blocks[2](side.inputs[2](levels[2]))
    stretched = F.interpolate(x, (4, 6), mode="bilinear", align_corners=False)
    x = side.blocks[1](side.inputs[1](levels[1]) + stretched)
    expected = side.blocks[0](side.inputs[0](levels[0]) + x)
    assert expected.shape == (2, 7, 4, 6)
    torch.testing.assert_close(side(levels), expected)
    assert len(list(side.blocks)) == 3
    with pytest.raises(ValueError, match="zip"):
        side(levels[:2])
    with pytest.raises(ValueError, match="zip"):
        PyramidSideNetwork((3, 5, 4), (2, 4), stride=4, width=7)
