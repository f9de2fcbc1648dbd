from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pooling_backend import noise
from small_counter import small_counter
from torch import nn

from sam_mprompt.counting.predict import predict_density, predict_with_mask
from sam_mprompt.counting.torch_backend import TorchBackend
from sam_mprompt.data.augment import AnnotatedImage
from sam_mprompt.geometry import Geometry
from sam_mprompt.recipe.loss import MseLoss
from sam_mprompt.recipe.schema import TargetRecipe
from sam_mprompt.targets import box_mask, density_map
from sam_mprompt.training.validation import count_all, preview_image, validate_masks

CPU = torch.device("cpu")
GEOMETRY = Geometry(max_side=1000, min_side=8, tile=32, overlap=8)
SIZES = [(24, 32), (40, 20), (16, 16), (33, 27), (20, 44)]
BOXES = TargetRecipe(pseudo_mask="boxes")


class Images:
    """Noise with 0, 2, 4, ... heads."""

    def __init__(self):
        self.drawn = []

    def __len__(self):
        return len(SIZES)

    def original(self, index):
        self.drawn.append(index)
        height, width = SIZES[index]
        points = np.random.default_rng(index).uniform(0, (width, height), (2 * index, 2)).astype(np.float32)
        return noise(height, width, index), points

    def frame(self, epoch, index):
        assert epoch == 0
        image, points = self.original(index)
        boxes = np.concatenate([points - 2, points + 2], axis=1)
        return AnnotatedImage(image, points, np.full(len(points), 9.0), boxes)


def alone():
    return SimpleNamespace(process_index=0, num_processes=1, device=CPU)


def counted(counter, index):
    return predict_density(TorchBackend(counter, CPU), noise(*SIZES[index], index), GEOMETRY).count


def test_every_image_is_counted_at_the_given_sizes_beside_its_heads():
    counter = small_counter()
    found = count_all(counter, Images(), GEOMETRY, alone(), batch_size=1, precision="no")
    assert [actual for _, actual in found] == [0, 2, 4, 6, 8]
    assert [predicted for predicted, _ in found] == pytest.approx([counted(counter, i) for i in range(5)])
    assert len({predicted for predicted, _ in found}) == 5


@pytest.mark.parametrize(("batch_size", "most"), [(1, 1), (2, 2)])
def test_tiles_are_validated_in_batches_of_the_given_size(batch_size, most):
    counter, sizes = small_counter(), []
    counter.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    count_all(counter, Images(), GEOMETRY, alone(), batch_size=batch_size, precision="no")
    assert max(sizes) == most


def test_validation_evaluates_and_leaves_training_as_it_was():
    counter, modes = small_counter().train(), []
    counter.register_forward_pre_hook(lambda module, _inputs: modes.append(module.training))
    before = {name: value.clone() for name, value in counter.state_dict().items()}
    count_all(counter, Images(), GEOMETRY, alone(), batch_size=1, precision="no")
    assert not any(modes)
    assert all(module.training for module in counter.modules())
    assert all(torch.equal(value, before[name]) for name, value in counter.state_dict().items())


def test_validation_gives_what_was_counted_beside_the_heads_that_are_there():
    counter = small_counter()
    found = count_all(counter, Images(), GEOMETRY, alone(), batch_size=2, precision="no")
    assert [actual for _, actual in found] == [2 * i for i in range(5)]
    assert [predicted for predicted, _ in found] == pytest.approx([counted(counter, i) for i in range(5)])


def share(rank, world, work):
    """What one of several processes does alone, before its results are gathered."""
    asked = []

    def gather(own, *, use_gather_object):
        assert use_gather_object
        asked.append(own)
        return own

    work(SimpleNamespace(process_index=rank, num_processes=world, device=CPU, gather_for_metrics=gather))
    return asked[0]


def together(world, shares):
    """The first of several processes, which gathers what all did, the last image twice."""
    everything = [result for own in shares for result in own]
    return SimpleNamespace(
        process_index=0,
        num_processes=world,
        device=CPU,
        gather_for_metrics=lambda _own, *, use_gather_object: [*reversed(everything), everything[-1]],
    )


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_images_and_each_gets_all_results_once_and_in_order(world):
    counter = small_counter()

    def work(accelerator):
        return count_all(counter, Images(), GEOMETRY, accelerator, batch_size=1, precision="no")

    shares = [share(rank, world, work) for rank in range(world)]
    assert [[index for index, _, _ in own] for own in shares] == [list(range(r, 5, world)) for r in range(world)]
    assert work(together(world, shares)) == work(alone())


def masked(counter, index):
    """The IoU of the cells that the segmenter marks with those that boxes touch, done by hand."""
    image, points = Images().original(index)
    logits = predict_with_mask(TorchBackend(counter, CPU), image, GEOMETRY).mask_logits
    target = box_mask(np.concatenate([points - 2, points + 2], axis=1), SIZES[index], stride=4)
    union = np.count_nonzero((logits > 0) | target)
    return np.count_nonzero((logits > 0) & target) / union if union else 1.0


def segmenting():
    counter = small_counter(segmenter=True)
    nn.init.normal_(counter.segmenter.output.weight, std=3.0)
    nn.init.zeros_(counter.segmenter.output.bias)
    return counter


def test_masks_are_compared_with_the_pseudo_masks_where_logits_are_above_zero():
    counter = segmenting()
    found = validate_masks(counter, Images(), GEOMETRY, alone(), targets=BOXES)
    expected = [masked(counter, i) for i in range(5)]
    assert found == pytest.approx(np.mean(expected))
    assert 0 < found < 1
    nn.init.zeros_(counter.segmenter.output.weight)  # logits of exactly 0 mark nothing
    empty = validate_masks(counter, Images(), GEOMETRY, alone(), targets=BOXES)
    assert empty == pytest.approx(1 / 5)  # of the one image without heads
    nn.init.constant_(counter.segmenter.output.bias, 0.5)
    assert validate_masks(counter, Images(), GEOMETRY, alone(), targets=BOXES) > 0


def test_masks_are_shared_between_processes_too():
    counter = segmenting()

    def work(accelerator):
        return validate_masks(counter, Images(), GEOMETRY, accelerator, targets=BOXES)

    shares = [share(rank, 2, work) for rank in range(2)]
    assert [[index for index, _ in own] for own in shares] == [[0, 2, 4], [1, 3]]
    assert work(together(2, shares)) == pytest.approx(work(alone()))


@pytest.mark.parametrize("segmenter", [False, True])
@pytest.mark.parametrize(("offline", "threshold"), [(False, 0.0), (True, 0.0), (True, 0.05)])
def test_a_preview_shows_image_target_prediction_and_masks(segmenter, offline, threshold, monkeypatch):
    counter = segmenting() if segmenter else small_counter()
    index, shown = 3, []
    monkeypatch.setattr("sam_mprompt.training.validation.preview", lambda *panels: (shown.extend(panels), "picture")[1])
    loss = MseLoss(offline=offline, threshold=threshold)
    picture = preview_image(counter, Images(), index, targets=BOXES, loss=loss, geometry=GEOMETRY, device=CPU)
    image, points = Images().original(index)
    density = density_map(points, SIZES[index], stride=4)
    boxes = box_mask(np.concatenate([points - 2, points + 2], axis=1), SIZES[index], stride=4)
    predict = predict_with_mask if segmenter else predict_density
    prediction = predict(TorchBackend(counter, CPU), image, GEOMETRY)
    masks = [None, None]
    if segmenter:
        assert (boxes != (boxes | (density > threshold))).any()
        masks = [boxes | (density > threshold) if offline else boxes, prediction.mask_logits > 0]
    assert picture == "picture"
    for panel, expected in zip(shown, [image, density, prediction.density, *masks], strict=True):
        np.testing.assert_array_equal(panel, expected)


@pytest.mark.parametrize("precision", ["no", "fp16", "bf16"])
def test_validation_counts_in_the_precision_of_the_training(precision, monkeypatch):
    asked = []

    def backend(*arguments, precision):
        asked.append(precision)
        return TorchBackend(*arguments)

    monkeypatch.setattr("sam_mprompt.training.validation.TorchBackend", backend)
    count_all(small_counter(), Images(), GEOMETRY, alone(), batch_size=1, precision=precision)
    assert asked == [precision]


def test_a_preview_marks_no_cell_whose_logit_is_exactly_zero(monkeypatch):
    counter, shown = segmenting(), []
    nn.init.zeros_(counter.segmenter.output.weight)
    monkeypatch.setattr("sam_mprompt.training.validation.preview", lambda *panels: shown.extend(panels))
    preview_image(counter, Images(), 3, targets=BOXES, loss=MseLoss(offline=False), geometry=GEOMETRY, device=CPU)
    assert not shown[4].any()
