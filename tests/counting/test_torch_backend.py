import os
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pooling_backend import AS_IS, MEAN, STD, PoolingBackend, known_density, noise
from torch import nn
from torch.nn import functional as F

from sam_mprompt.counting.predict import predict_density, predict_with_mask
from sam_mprompt.counting.torch_backend import TorchBackend, available_devices, choose_device
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.geometry import Geometry


class PoolingModel(nn.Module):
    """The torch model whose density is `PoolingBackend`'s."""

    def __init__(self, *, masks=False):
        super().__init__()
        self.stride, self.size_divisor, self.masks = 4, 16, masks
        self.encoder = SimpleNamespace(mean=list(MEAN), std=list(STD))
        self.norm = nn.BatchNorm2d(1)

    def forward(self, images):
        density = F.avg_pool2d(images.double().abs().mean(1, keepdim=True) / 100, self.stride) * self.stride**2
        return SimpleNamespace(density=density, mask_logits=density - 1 if self.masks else None)


TILES = np.random.default_rng(0).normal(size=(2, 3, 32, 48)).astype(np.float32)


def test_a_model_in_torch_counts_as_the_same_one_in_numpy():
    backend, other = TorchBackend(PoolingModel(), "cpu"), PoolingBackend()
    assert (backend.stride, backend.size_divisor) == (4, 16)
    assert (backend.mean, backend.std) == (MEAN, STD)
    density = backend.density(TILES)
    assert density.dtype == np.float32
    np.testing.assert_allclose(density, other.density(TILES), rtol=1e-6)
    image, geometry = noise(150, 90), Geometry(**AS_IS, tile=64, overlap=16)
    np.testing.assert_allclose(predict_density(backend, image, geometry).density, known_density(image, 4), rtol=1e-5)


def test_density_and_mask_come_together_where_there_is_a_segmenter():
    backend = TorchBackend(PoolingModel(masks=True), "cpu")
    maps = backend.density_and_mask(TILES)
    assert maps.shape == (2, 2, 8, 12)
    np.testing.assert_allclose(maps[:, 1], maps[:, 0] - 1, rtol=1e-6)
    with pytest.raises(UsageError, match=r"^Expected a counter with a segmenter, .* this one has none\.$"):
        predict_with_mask(TorchBackend(PoolingModel(), "cpu"), noise(16, 16), Geometry(**AS_IS))


def test_the_model_is_evaluated_and_gets_its_own_modes_back():
    class Watching(PoolingModel):
        def forward(self, images):
            self.seen = [module.training for module in self.modules()]
            return super().forward(images)

    model = Watching()
    model.train()
    model.norm.eval()
    TorchBackend(model, "cpu").density(TILES)
    assert not any(model.seen)
    assert model.training
    assert not model.norm.training


def test_no_graph_is_kept():
    class Learning(PoolingModel):
        def forward(self, images):
            self.inference = torch.is_inference_mode_enabled()
            return super().forward(images)

    model = Learning()
    TorchBackend(model, "cpu").density(TILES)
    assert model.inference


def test_mixed_precision_is_ignored_on_the_cpu():
    class Multiplying(PoolingModel):
        def forward(self, images):
            self.dtype = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
            return super().forward(images)

    model = Multiplying()
    TorchBackend(model, "cpu", precision="bf16").density(TILES)
    assert model.dtype == torch.float32


def test_a_gpu_computes_in_the_precision_that_is_asked_for_and_in_float32_by_itself():
    asked = {p: TorchBackend(PoolingModel(), "cuda", precision=p).autocast for p in ("no", "fp16", "bf16")}
    assert asked == {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}
    assert TorchBackend(PoolingModel(), "cuda:1").autocast is None


def test_products_are_computed_in_the_precision_of_the_backend():
    class Multiplying(PoolingModel):
        def forward(self, images):
            self.dtype = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
            return super().forward(images)

    model = Multiplying()
    backend = TorchBackend(model, "cpu")
    backend.autocast = torch.float16  # what a GPU would be given; a CPU can do it too
    backend.density(TILES)
    assert model.dtype == torch.float16


def test_exhausted_memory_says_what_to_lower():
    class Greedy(PoolingModel):
        def forward(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory")

    backend, geometry = TorchBackend(Greedy(), "cpu"), Geometry(**AS_IS, tile=64, overlap=16)
    with pytest.raises(RunError, match=r"2 tile\(s\) of 64x64: lower batch_size or tile"):
        predict_density(backend, noise(64, 100), geometry, batch_size=2)


@pytest.fixture
def machine(monkeypatch):
    """A machine with two GPUs as NVIDIA makes them, or with one of Apple's, as far as names go."""

    def pretend(gpus=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, "cuda"),
        ("cpu", "cpu"),
        ("cpu:0", "cpu"),
        (" CPU ", "cpu"),
        ("cuda", "cuda"),
        ("CUDA", "cuda"),
        ("gpu", "cuda"),
        ("gpu:1", "cuda:1"),
        ("0", "cuda:0"),
        (1, "cuda:1"),
        ("cuda:1", "cuda:1"),
        (torch.device("cuda", 1), "cuda:1"),
    ],
)
def test_a_device_goes_by_the_names_that_people_give_it(machine, given, meant):
    machine(gpus=2)
    assert choose_device(given) == torch.device(meant)


def test_mps_is_there_where_torch_has_it(machine):
    machine(mps=True)
    assert choose_device("mps") == torch.device("mps")
    assert choose_device("mps:0") == torch.device("mps", 0)
    assert choose_device(None) == torch.device("cpu")
    with pytest.raises(UsageError, match=r"torch sees no GPU\. Available: cpu, mps:0\."):
        choose_device("cuda")


@pytest.mark.parametrize(
    "device", ["cuda:7", 7, "mps", "meta", "cuda:0,1", "cuda:-1", "xpu", "", True, 1.5, [], "gpux"]
)
def test_a_device_that_is_not_there_is_said_with_those_that_are(machine, device):
    machine(gpus=2)
    with pytest.raises(UsageError, match=r"^(Expected a d|D)evice .*Available: cpu, cuda:0, cuda:1\.$"):
        choose_device(device)


def test_each_kind_of_device_that_is_not_there_says_why(machine, monkeypatch):
    machine()
    with pytest.raises(UsageError, match=r"'mps' is not available: this torch cannot use it\. Available: cpu\."):
        choose_device("mps")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)  # seen by their driver, and of no use to this torch
    assert available_devices() == ["cpu"]


def test_a_gpu_is_not_there_where_torch_sees_none(machine):
    machine()
    assert choose_device(None) == torch.device("cpu")
    for device in ("cuda", "gpu", 0, "0"):
        with pytest.raises(UsageError, match=r"torch sees no GPU\. Available: cpu\."):
            choose_device(device)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_is_forked_after_counting_with_two_threads_counts_too():
    net, tiles = nn.Conv2d(3, 16, 3), torch.zeros(1, 3, 256, 256)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        net(tiles)
        child = os.fork()
        if child == 0:
            net(tiles)
            os._exit(0)
        deadline = time.monotonic() + 60
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.05)
        if ended == (0, 0):
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert ended == (child, 0)
    finally:
        torch.set_num_threads(threads)
