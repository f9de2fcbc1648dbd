import numpy as np
import torch
from pooling_backend import MEAN, STD, noise

from sam_mprompt.counting.preprocess import network_input
from sam_mprompt.models.normalise import normalise


def test_pixels_are_normalised_by_channel():
    image = np.broadcast_to(np.array([255, 0, 51], np.uint8), (16, 16, 3))
    [prepared] = network_input([image], (16, 16), MEAN, STD)
    expected = (np.array([1.0, 0.0, 0.2]) - MEAN) / STD
    np.testing.assert_allclose(prepared[:, 3, 5], expected, rtol=1e-6)


def test_padding_is_zero_after_normalisation():
    [prepared] = network_input([noise(33, 50)], (48, 64), MEAN, STD)
    assert prepared.dtype == np.float32
    assert prepared.shape == (3, 48, 64)
    assert not prepared[:, 33:].any()
    assert not prepared[:, :, 50:].any()
    assert np.abs(prepared[:, :33, :50]).mean() > 0


def test_a_crop_is_not_copied_before_and_not_changed():
    image = noise(40, 40)
    before = image.copy()
    [prepared] = network_input([image[8:24, 4:20]], (16, 16), MEAN, STD)
    assert np.array_equal(prepared, network_input([image[8:24, 4:20].copy()], (16, 16), MEAN, STD)[0])
    assert np.array_equal(image, before)


def test_training_sees_to_the_last_bit_what_counting_sees():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    sizes = [(64, 64), (33, 50), (64, 7)]
    crops = [noise(*size, seed) for seed, size in enumerate(sizes)]
    batch = torch.full((3, 3, 64, 64), 117, dtype=torch.uint8)  # what stands in the padding does not matter
    for image, crop in zip(batch, crops, strict=True):
        image[:, : crop.shape[0], : crop.shape[1]] = torch.from_numpy(crop).permute(2, 0, 1)
    columns = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    assert np.array_equal(normalise(batch, *columns, sizes).numpy(), network_input(crops, (64, 64), mean, std))
