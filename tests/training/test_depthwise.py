"""Depthwise convolutions under bfloat16: the same forward, and gradients that are those of float32 but for rounding."""

import pytest
import torch
from torch import nn

from sam_mprompt.recipe.schema import TrainRecipe
from sam_mprompt.training import depthwise
from sam_mprompt.training.depthwise import depthwise_gradients

CPU = torch.device("cpu")
HALF = TrainRecipe(precision="bf16")


def layer(taps: int | tuple[int, int] = 5, **options) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, taps, groups=8, **options)


def passed(convolution: nn.Conv2d, train: TrainRecipe, *, layout: torch.memory_format, half: bool = True):
    """Return output and gradients of one pass, of a loss that weighs each output differently."""
    torch.manual_seed(1)
    images = torch.randn(2, convolution.in_channels, 20, 24).to(memory_format=layout).requires_grad_()
    with depthwise_gradients(CPU, train), torch.autocast("cpu", torch.bfloat16, enabled=half):
        made = convolution(images)
    (made.float() * torch.linspace(-1, 1, made.numel()).view_as(made)).sum().backward()
    gradients = [images.grad, *(parameter.grad for parameter in convolution.parameters())]
    convolution.zero_grad()
    return made.detach(), gradients


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 2},
        {"stride": (2, 3), "padding": (1, 0), "bias": False},
        {"padding": 2},
        {"taps": 3, "padding": 1},
        {"taps": 3, "stride": 2},
        {"taps": 7, "stride": 2, "padding": 3},
        {"taps": (1, 4)},
    ],
    ids=lambda options: ", ".join(f"{name} {value}" for name, value in options.items()) or "plain",
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["plain", "channels last"])
def test_a_depthwise_convolution_keeps_its_output_and_has_the_gradients_of_float32(options, layout):
    convolution = layer(**options).to(memory_format=layout)
    usual, _ = passed(convolution, TrainRecipe(), layout=layout)
    made, found = passed(convolution, HALF, layout=layout)
    _, expected = passed(convolution, TrainRecipe(), layout=layout, half=False)
    assert made.dtype == usual.dtype == torch.bfloat16
    torch.testing.assert_close(made, usual, atol=0.02, rtol=0.01)
    for of_ours, of_float32 in zip(found, expected, strict=True):
        assert of_ours.dtype == torch.float32
        torch.testing.assert_close(of_ours, of_float32, atol=0.01 * float(of_float32.abs().max()), rtol=0)


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 2}, {"taps": 3, "stride": 2}, {"taps": (3, 7), "padding": (1, 3)}]
)
def test_only_kernels_that_are_fast_in_bfloat16_compute_gradients(monkeypatch, options):
    asked = []
    compute = depthwise._gradients

    def watched(gradient, images, weight, stride, padding, *, of_images):
        asked.append((of_images, max(weight.shape[-2:]), max(stride), {gradient.dtype, images.dtype, weight.dtype}))
        return compute(gradient, images, weight, stride, padding, of_images=of_images)

    monkeypatch.setattr(depthwise, "_gradients", watched)
    passed(layer(**options), HALF, layout=torch.channels_last)
    assert {of_images for of_images, *_ in asked} == {True, False}
    for of_images, taps, stride, dtypes in asked:
        assert stride == 1 if of_images else taps <= 3
        assert dtypes == {torch.bfloat16}


def test_images_that_need_no_gradient_get_none():
    convolution = layer()
    with depthwise_gradients(CPU, HALF):
        convolution(torch.randn(1, 8, 9, 9)).float().sum().backward()
    assert convolution.weight.grad is not None


@pytest.mark.parametrize(
    ("train", "convolution", "ours"),
    [
        (HALF, layer(), 1),
        (HALF, layer(3, dilation=2), 0),
        (HALF, nn.Conv2d(8, 8, 3, groups=4), 0),
        (HALF, nn.Conv2d(8, 8, 3), 0),
        (HALF, layer(padding="same"), 0),
        (HALF, layer().requires_grad_(False), 0),
        (TrainRecipe(), layer(), 0),
        (TrainRecipe(precision="bf16", compile=True), layer(), 0),
        (TrainRecipe(precision="bf16", gradient_checkpointing=True), layer(), 0),
    ],
    ids=[
        "depthwise",
        "dilated",
        "grouped",
        "ordinary",
        "padded by name",
        "frozen",
        "float32",
        "compiled",
        "recomputed",
    ],
)
def test_only_depthwise_convolutions_that_train_in_bfloat16_are_taken(monkeypatch, train, convolution, ours):
    taken = []
    apply = depthwise._FastGradients.apply
    monkeypatch.setattr(depthwise._FastGradients, "apply", lambda *args: taken.append(args) or apply(*args))
    with depthwise_gradients(CPU, train), torch.autocast("cpu", torch.bfloat16):
        convolution(torch.randn(1, 8, 9, 9))
    assert len(taken) == ours


def test_a_gpu_has_kernels_of_its_own(monkeypatch):
    monkeypatch.setattr(depthwise, "_Depthwise", None)
    with depthwise_gradients(torch.device("cuda"), HALF):
        layer()(torch.randn(1, 8, 9, 9))
