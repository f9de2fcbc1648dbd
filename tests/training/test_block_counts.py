import numpy as np
import pytest
import torch
from small_counter import Patches, small_counter

from sam_mprompt.data.augment import AnnotatedImage
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.decoders import BlockOutput
from sam_mprompt.recipe.schema import SamModel
from sam_mprompt.training.block_counts import begin_with_counts, block_counts


class Source:
    """Images of 8 x 12 pixels; image i has i heads in its first cell, one in its last, and one outside."""

    def __init__(self, length):
        self.length, self.asked = length, []

    def __len__(self):
        return self.length

    def frame(self, epoch, index):
        self.asked.append((epoch, index))
        points = np.array([[1.0, 1.0]] * index + [[11.0, 7.0], [12.0, 3.0]], np.float32)
        return AnnotatedImage(np.zeros((8, 12, 3), np.uint8), points, np.ones(len(points)), None)


def test_the_blocks_of_an_image_hold_the_heads_inside_it():
    blocks = block_counts(Source(3), 4)
    assert [block.tolist() for block in blocks] == [[[i, 0, 0], [0, 0, 1]] for i in range(3)]


def test_of_many_scenes_some_are_looked_at_from_the_first_to_the_last():
    source = Source(1001)
    assert len(block_counts(source, 4)) == 100
    assert source.asked[0] == (0, 0)
    assert source.asked[-1] == (0, 1000)


def test_a_counter_of_distributions_begins_with_the_mean_of_its_images_and_their_bins():
    counter = CrowdCounter(Patches(), SamModel(), segmenter=False, bins=3).eval()
    begin_with_counts(counter, Source(6))
    output = counter.regressor.output
    assert isinstance(output, BlockOutput)
    # Counts above zero: 1 in six last cells and one first, then 2, 3, 4 and 5.
    assert output.centres.tolist() == pytest.approx([1, 2, 4])
    torch.nn.init.zeros_(output.weight)
    with torch.no_grad():
        density = counter(torch.zeros(1, 3, 16, 16)).density
    assert density.flatten().tolist() == pytest.approx([(6 + 15) / 36] * 16, rel=1e-4)


def test_a_counter_of_a_density_stays_as_it_is():
    counter, source = small_counter(), Source(2)
    before = counter.regressor.output.weight.detach().clone()
    begin_with_counts(counter, source)
    assert torch.equal(counter.regressor.output.weight, before)
    assert source.asked == []
