import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional as F

from sam_mprompt.counting.predict import count_many, predict_density
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.geometry import Geometry

MEAN, STD = [0.25, 0.5, 0.125], [0.5, 0.25, 0.125]
AS_IS = {"max_side": 10_000, "min_side": 1}


class PoolingModel(nn.Module):
    """Its density is known: each pixel holds the mean absolute normalised value of its channels / 100 heads."""

    def __init__(self, *, stride=4, size_divisor=16, masks=False):
        super().__init__()
        self.stride, self.size_divisor, self.masks = stride, size_divisor, masks
        self.encoder = SimpleNamespace(mean=MEAN, std=STD)
        self.norm = nn.BatchNorm2d(1)
        self.batches = []

    def forward(self, images):
        self.batches.append(images)
        pixels = images.double().abs().mean(1, keepdim=True) / 100
        density = F.avg_pool2d(pixels, self.stride) * self.stride**2
        return SimpleNamespace(density=density, mask_logits=density - 1 if self.masks else None)


def known_density(image, stride):
    pixels = (np.abs(image / 255 - MEAN) / STD).mean(2) / 100
    height, width = pixels.shape
    pixels = np.pad(pixels, ((0, -height % stride), (0, -width % stride)))
    return pixels.reshape(pixels.shape[0] // stride, stride, -1, stride).sum((1, 3))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 260), st.integers(1, 260)),
    tile=st.integers(1, 120),
    share=st.floats(0, 0.99),
    grid=st.sampled_from([(4, 16), (8, 8), (8, 32), (16, 16), (4, 4)]),
    batch_size=st.integers(1, 5),
)
def test_every_cell_and_the_count_survive_tiling_of_any_size(size, tile, share, grid, batch_size):
    stride, size_divisor = grid
    image = noise(*size)
    geometry = Geometry(**AS_IS, tile=tile, overlap=int(share * tile))
    model = PoolingModel(stride=stride, size_divisor=size_divisor)
    prediction = predict_density(model, image, geometry, device="cpu", batch_size=batch_size)
    expected = known_density(image, stride)
    assert prediction.density.shape == expected.shape
    assert prediction.density.dtype == np.float32
    np.testing.assert_allclose(prediction.density, expected, rtol=1e-5)
    assert prediction.count == pytest.approx(expected.sum(), rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (641, 3), (617, 1013)])
def test_odd_sizes_conserve_the_count(size):
    image = noise(*size)
    prediction = predict_density(PoolingModel(), image, Geometry(**AS_IS, tile=224, overlap=48), device="cpu")
    assert prediction.count == pytest.approx(known_density(image, 4).sum(), rel=1e-5)


def test_an_image_that_fits_the_tile_is_counted_whole():
    model = PoolingModel()
    predict_density(model, noise(100, 120), Geometry(**AS_IS, tile=128, overlap=16), device="cpu")
    assert [tuple(batch.shape) for batch in model.batches] == [(1, 3, 112, 128)]


def test_padding_is_zero_after_normalisation():
    model = PoolingModel()
    predict_density(model, noise(33, 50), Geometry(**AS_IS), device="cpu")
    (batch,) = model.batches
    assert batch[:, :, 33:].abs().max() == 0
    assert batch[:, :, :, 50:].abs().max() == 0
    assert batch[:, :, :33, :50].abs().mean() > 0


def test_pixels_are_normalised_by_channel():
    model = PoolingModel()
    image = np.broadcast_to(np.array([255, 0, 51], np.uint8), (16, 16, 3))
    predict_density(model, image, Geometry(**AS_IS), device="cpu")
    expected = (np.array([1.0, 0.0, 0.2]) - MEAN) / STD
    np.testing.assert_allclose(model.batches[0][0, :, 3, 5], expected, rtol=1e-6)


def test_cells_in_the_padding_are_dropped():
    class EverywhereOne(PoolingModel):
        def forward(self, images):
            return SimpleNamespace(density=torch.ones_like(images[:, :1, ::4, ::4]), mask_logits=None)

    prediction = predict_density(EverywhereOne(), noise(33, 50), Geometry(**AS_IS), device="cpu")
    assert prediction.density.shape == (9, 13)
    assert prediction.count == 9 * 13


def test_mask_logits_are_blended_like_the_density():
    image = noise(150, 90)
    geometry = Geometry(**AS_IS, tile=64, overlap=16)
    prediction = predict_density(PoolingModel(masks=True), image, geometry, device="cpu", batch_size=3)
    np.testing.assert_allclose(prediction.mask_logits, known_density(image, 4) - 1, rtol=1e-5, atol=1e-6)
    assert predict_density(PoolingModel(), image, geometry, device="cpu").mask_logits is None


def test_the_image_is_resized_by_the_geometry():
    model = PoolingModel()
    prediction = predict_density(model, noise(1000, 2000), Geometry(max_side=320, min_side=16), device="cpu")
    assert model.batches[0].shape[2:] == (160, 320)
    assert prediction.image_size == (1000, 2000)
    assert prediction.cell == (25.0, 25.0)


def test_the_model_is_evaluated_and_gets_its_own_modes_back():
    class Watching(PoolingModel):
        def forward(self, images):
            self.seen = [module.training for module in self.modules()]
            return super().forward(images)

    model = Watching()
    model.train()
    model.norm.eval()
    predict_density(model, noise(16, 16), Geometry(**AS_IS), device="cpu")
    assert not any(model.seen)
    assert model.training
    assert not model.norm.training


def test_no_graph_is_kept():
    class Learning(PoolingModel):
        def forward(self, images):
            assert torch.is_inference_mode_enabled()
            return super().forward(images)

    predict_density(Learning(), noise(16, 16), Geometry(**AS_IS), device="cpu")


def test_autocast_is_ignored_on_the_cpu():
    class Multiplying(PoolingModel):
        def forward(self, images):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
            return super().forward(images)

    predict_density(Multiplying(), noise(16, 16), Geometry(**AS_IS), device="cpu", autocast=torch.bfloat16)


def test_a_density_that_is_not_finite_is_an_error():
    class Broken(PoolingModel):
        def forward(self, images):
            output = super().forward(images)
            output.density[..., 0, 0] = float("nan")
            return output

    with pytest.raises(RunError, match="NaN"):
        predict_density(Broken(), noise(16, 16), Geometry(**AS_IS), device="cpu")


def test_exhausted_memory_says_what_to_lower():
    class Greedy(PoolingModel):
        def forward(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(RunError, match="2 tile\\(s\\) of 64x64: lower batch_size or tile"):
        predict_density(Greedy(), noise(64, 100), Geometry(**AS_IS, tile=64, overlap=16), device="cpu", batch_size=2)


@pytest.fixture
def files(tmp_path):
    paths = []
    for i, size in enumerate([(40, 60), (40, 60), (90, 30), (40, 60), (130, 150)]):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(noise(*size, seed=i)).save(paths[-1])
    return paths


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_many_images_give_the_same_as_one_by_one_in_order(files, batch_size):
    geometry = Geometry(**AS_IS, tile=64, overlap=16)
    results = list(count_many(PoolingModel(masks=True), files, geometry, device="cpu", batch_size=batch_size))
    assert [result.image for result in results] == files
    for i, result in enumerate(results):
        image = np.asarray(Image.open(files[i]))
        assert result.image_size == image.shape[:2]
        np.testing.assert_allclose(result.density, known_density(image, 4), rtol=1e-5)
        assert result.mask_logits.shape == result.density.shape


def test_images_of_one_size_share_a_forward_pass(files):
    model = PoolingModel()
    same = [files[0], files[1], files[3]]
    list(count_many(model, same, Geometry(**AS_IS), device="cpu", batch_size=4))
    assert [len(batch) for batch in model.batches] == [3]


def test_paths_pil_images_and_arrays_count_alike(files):
    array = np.asarray(Image.open(files[0]))
    images = [files[0], str(files[0]), Image.open(files[0]), array]
    results = list(count_many(PoolingModel(), images, Geometry(**AS_IS), device="cpu"))
    assert len({result.count for result in results}) == 1
    assert [result.image for result in results] == [files[0], files[0], None, None]
    for result in results:
        assert result.overlay().shape == array.shape


def test_images_are_read_ahead_but_not_far():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield noise(16, 16)

    results = count_many(PoolingModel(), endless(), Geometry(**AS_IS), device="cpu", batch_size=3)
    next(results)
    assert len(taken) == 6
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sam-mprompt-decode")]


def test_an_unreadable_image_is_raised_after_the_results_before_it(files, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    results = count_many(
        PoolingModel(), [files[0], tmp_path / "broken.jpg", files[1]], Geometry(**AS_IS), device="cpu", batch_size=8
    )
    assert next(results).image == files[0]
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        next(results)


def test_unreadable_images_are_reported_and_left_out_on_request(files, tmp_path):
    reported = []
    images = [tmp_path / "missing.jpg", *files]
    results = count_many(
        PoolingModel(),
        images,
        Geometry(**AS_IS),
        device="cpu",
        batch_size=2,
        on_error=lambda image, error: reported.append((image, str(error))),
    )
    assert [result.image for result in results] == files
    assert [image for image, _ in reported] == [tmp_path / "missing.jpg"]
    assert "missing.jpg" in reported[0][1]


def test_no_images_give_no_results():
    assert list(count_many(PoolingModel(), [], Geometry(), device="cpu")) == []


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        list(count_many(PoolingModel(), [noise(8, 8)], Geometry(), device="cpu", batch_size=0))
