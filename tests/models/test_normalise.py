import pytest
import torch

from sam_mprompt.models.normalise import normalise

MEAN, STD = torch.tensor([0.5, 0.25, 0.125]).view(3, 1, 1), torch.tensor([0.5, 0.25, 0.125]).view(3, 1, 1)


def test_what_lies_beyond_an_images_own_size_is_zero_and_nothing_else_changes():
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = normalise(images, MEAN, STD)
    padded = normalise(images, MEAN, STD, [(16, 16), (9, 16), (4, 5)])
    assert torch.equal(padded[0], whole[0])
    for number, (height, width) in ((1, (9, 16)), (2, (4, 5))):
        assert torch.equal(padded[number, :, :height, :width], whole[number, :, :height, :width])
        assert not padded[number, :, height:].any()
        assert not padded[number, :, :, width:].any()


def test_every_image_has_a_size_or_none_has():
    with pytest.raises(ValueError, match="shorter"):
        normalise(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), MEAN, STD, [(8, 8)])
