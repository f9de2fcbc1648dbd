import pytest
import torch
from torch.testing import assert_close

from sam_mprompt.deploy import free_sizes as free
from sam_mprompt.deploy.capture import capture, merged
from sam_mprompt.models import sam_attention, sam_encoder, sam_positions
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.model import SamModel
from sam_mprompt.recipe.tuning import Prompts


@pytest.mark.parametrize("size", [(8, 8), (5, 13), (16, 3), (8, 40)])
def test_positions_are_those_of_the_encoder_at_every_size(size):
    table = torch.randn(1, 8, 8, 6)
    assert_close(free.absolute_positions(table, *size), sam_positions.resample(table, size), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [4, 7, 9])
def test_relative_positions_are_those_of_attention(size):
    table = torch.randn(13, 6)
    assert_close(free.relative_positions(table, size), sam_attention.relative_positions(table, size))
    if size <= 7:
        centred = sam_attention.relative_positions(table, size, centred=True)
        assert_close(free.relative_positions(table, size, centred=True), centred)


@pytest.mark.parametrize("size", [(4, 8), (5, 7), (1, 3)])
def test_windows_are_those_of_sam(size):
    tokens = torch.randn(2, *size, 3)
    windows, padded = free.partition_windows(tokens, 4)
    expected, of_sam = sam_encoder.window_partition(tokens, 4)
    assert_close(windows, expected)
    assert padded == of_sam
    assert_close(free.join_windows(windows, 4, padded, size), tokens)


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["resample", "slice", "center"])
def test_one_graph_computes_tiles_of_every_size(tiny_base, positions):
    built = build_counter(SamModel(base=str(tiny_base), positions=positions), Prompts(bottleneck=4), segmenter=False)
    counter = merged(built.counter)
    program = capture(counter, None).module(check_guards=False)
    sizes = ((1, 64, 64), (2, 128, 64), (3, 80, 112)) if positions != "resample" else ((1, 64, 64), (2, 208, 144))
    for count, height, width in sizes:
        tiles = torch.randn(count, 3, height, width)
        with torch.inference_mode():
            expected = counter(tiles).density[:, 0]
        assert_close(program(tiles), expected, rtol=1e-4, atol=1e-6)


def test_the_encoder_is_as_before_afterwards():
    before = sam_encoder.window_partition, sam_attention.relative_positions, sam_encoder.SamEncoder._embed
    with free.free_sizes():
        assert sam_encoder.window_partition is free.partition_windows
    assert before == (sam_encoder.window_partition, sam_attention.relative_positions, sam_encoder.SamEncoder._embed)
