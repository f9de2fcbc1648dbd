import copy
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from small_counter import batch_of, small_counter
from small_training import Process
from torch import nn

from sam_mprompt.errors import RunError
from sam_mprompt.losses import MutualPromptLoss, Targets
from sam_mprompt.recipe.schema import MseLoss, TrainRecipe
from sam_mprompt.training.ema import MovingAverage
from sam_mprompt.training.loop import Parts, Steps, train_epoch
from sam_mprompt.training.state import TrainingProgress


@pytest.mark.parametrize(
    ("batches", "accumulation", "after", "groups"),
    [
        (3, 1, [True, True, True], [1, 1, 1]),
        (3, 2, [False, True, True], [2, 2, 1]),
        (4, 4, [False, False, False, True], [4, 4, 4, 4]),
        (2, 4, [False, True], [2, 2]),
        (7, 3, [False, False, True, False, False, True, True], [3, 3, 3, 3, 3, 3, 1]),
        (5, 3, [False, False, True, False, True], [3, 3, 3, 2, 2]),
    ],
)
def test_batches_group_into_steps_and_an_epoch_ends_with_one(batches, accumulation, after, groups):
    steps = Steps(batches, accumulation)
    assert [steps.after(batch) for batch in range(batches)] == after
    assert [steps.group(batch) for batch in range(batches)] == groups
    assert steps.per_epoch == sum(after)


LOSS = MutualPromptLoss(MseLoss(density_scale=8.0, kappa=1), stride=4)
RATE = 0.01
CONSTANT = TrainRecipe(lr=RATE, schedule="constant", epochs=4)


class Trained:
    """A small counter, what steps it, and what its training told."""

    def __init__(self, *, ema=0.0, **counter):
        self.counter = small_counter(**counter)
        self.start = copy.deepcopy(self.counter)
        self.optimizer = torch.optim.SGD(self.counter.parameters(), lr=0.0)
        self.average = MovingAverage(self.counter, ema) if ema else None
        self.parts = Parts(Accelerator(), self.counter, self.counter, LOSS, self.optimizer, self.average, None)
        self.progress, self.told = TrainingProgress(), []

    def epoch(self, batches, train=CONSTANT, *, accumulation=1, of=None):
        steps = Steps(of or len(batches), accumulation)
        return train_epoch(
            self.parts,
            batches,
            steps,
            train,
            self.progress,
            name_of="image {}".format,
            after_batch=lambda values, stepped: self.told.append((values, stepped, self.progress.batch)),
        )

    def moved(self):
        """How far each parameter went since the start."""
        return [now.detach() - before.detach() for now, before in zip(*self._parameters(), strict=True)]

    def _parameters(self):
        return self.counter.parameters(), self.start.parameters()


def gradients(counter, batch, *, epoch=0):
    """The gradients of one batch alone, for a copy of a counter in training mode."""
    model = copy.deepcopy(counter).train()
    output = model(model.normalise(batch.images, batch.sizes))
    LOSS(output.density, output.mask_logits, batch.targets, epoch=epoch)["loss"].backward()
    return [parameter.grad for parameter in model.parameters()]


def assert_close(got, expected):
    assert any(value.abs().max() > 1e-4 for value in expected)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-6)


def test_a_step_goes_down_the_gradient_of_its_batch_at_the_learning_rate():
    trained, batch = Trained(), batch_of(1)
    trained.epoch([batch])
    assert_close(trained.moved(), [-RATE * gradient for gradient in gradients(trained.start, batch)])


def test_a_step_goes_down_the_mean_gradient_of_the_batches_it_accumulates():
    trained, batches = Trained(), [batch_of(1), batch_of(2)]
    trained.epoch(batches, accumulation=2)
    each = [gradients(trained.start, batch) for batch in batches]
    assert_close(trained.moved(), [-RATE * (one + other) / 2 for one, other in zip(*each, strict=True)])


def test_the_last_group_of_an_epoch_is_the_mean_of_those_it_has():
    trained, batches = Trained(), [batch_of(1), batch_of(2), batch_of(3)]
    trained.epoch(batches[:2], accumulation=2, of=3)
    trained.start = copy.deepcopy(trained.counter)
    trained.epoch(batches[2:], accumulation=2, of=3)
    assert_close(trained.moved(), [-RATE * gradient for gradient in gradients(trained.start, batches[2])])


def test_gradients_of_one_step_are_gone_before_the_next():
    trained = Trained()
    trained.epoch([batch_of(1)], of=2)
    trained.start = copy.deepcopy(trained.counter)
    trained.epoch([batch_of(2)], of=2)
    assert_close(trained.moved(), [-RATE * gradient for gradient in gradients(trained.start, batch_of(2))])


def test_a_long_gradient_is_clipped_to_the_recipes_norm():
    trained = Trained()
    trained.epoch([batch_of(1)], TrainRecipe(lr=1.0, schedule="constant", max_grad_norm=0.01))
    length = torch.cat([step.flatten() for step in trained.moved()]).norm()
    assert float(length) == pytest.approx(0.01, rel=1e-3)


def test_the_learning_rate_of_each_step_is_that_of_its_place_in_the_schedule():
    trained, rates = Trained(), []
    falling = TrainRecipe(lr=0.004, schedule="step", step_epochs=1, step_factor=0.5, epochs=9)
    original = trained.optimizer.step
    trained.optimizer.step = lambda: (rates.append(trained.optimizer.param_groups[0]["lr"]), original())
    for _ in range(3):
        trained.epoch([batch_of(1), batch_of(2)], falling)
        trained.progress.batch = 0
    assert rates == [0.004, 0.004, 0.002, 0.002, 0.001, 0.001]


def test_the_learning_rate_moves_within_an_epoch_with_the_steps_of_accumulated_batches():
    trained, rates = Trained(), []
    warming = TrainRecipe(lr=0.01, warmup_epochs=1.0, epochs=9)
    original = trained.optimizer.step
    trained.optimizer.step = lambda: (rates.append(trained.optimizer.param_groups[0]["lr"]), original())
    trained.epoch([batch_of(seed) for seed in range(4)], warming, accumulation=2)
    assert rates == pytest.approx([1e-5, 0.005], rel=2e-3)


def test_the_average_moves_to_the_weights_after_the_step():
    trained = Trained(ema=0.5)
    before = {name: value.clone() for name, value in trained.average.values.items()}
    trained.epoch([batch_of(1)])
    after = dict(trained.counter.named_parameters())
    share = 1 - 2 / 11  # of the first update of the ramp
    for name in ("regressor.output.weight", "encoder.patch.weight"):
        expected = before[name] + share * (after[name].detach() - before[name])
        torch.testing.assert_close(trained.average.values[name], expected)
        assert (after[name] - before[name]).abs().max() > 1e-4


def test_the_average_moves_once_a_step_and_not_once_a_batch():
    trained = Trained(ema=0.5)
    trained.epoch([batch_of(seed) for seed in range(3)], accumulation=2)
    assert trained.average.updates == 2


def test_an_epoch_trains_in_training_mode_also_after_an_evaluation():
    trained = Trained()
    trained.counter.eval()
    trained.epoch([batch_of(1)])
    assert all(module.training for module in trained.counter.modules())
    assert int(trained.counter.regressor.last[1].num_batches_tracked) == 1


def test_batches_and_steps_are_counted_up_and_each_batch_is_told():
    trained = Trained()
    trained.progress = TrainingProgress(step=5, batch=1)
    trained.epoch([batch_of(seed) for seed in range(4)], accumulation=2, of=5)
    assert (trained.progress.batch, trained.progress.step) == (5, 8)
    assert [stepped for _, stepped, _ in trained.told] == [True, False, True, True]
    assert [batch for _, _, batch in trained.told] == [2, 3, 4, 5]


def test_an_epoch_returns_the_mean_of_each_term_over_its_batches():
    trained = Trained(segmenter=True)
    means = trained.epoch([batch_of(1), batch_of(2)], TrainRecipe(lr=1e-9, schedule="constant"))
    told = [values for values, _, _ in trained.told]
    assert means.keys() == told[0].keys() == {"loss", "density", "segmentation", "overlap", "context"}
    for name in means:
        assert told[0][name] != told[1][name], name
        assert means[name] == pytest.approx((told[0][name] + told[1][name]) / 2)


@pytest.mark.parametrize(("epoch", "online"), [(0, False), (1, True)])
def test_the_online_prompt_starts_at_the_epoch_that_the_progress_stands_in(epoch, online):
    trained, batch = Trained(segmenter=True), batch_of(1)
    trained.progress.epoch = epoch
    empty = replace(batch.targets, context_mask=torch.zeros_like(batch.targets.context_mask))
    batch = replace(batch, targets=empty)
    nn.init.constant_(trained.counter.segmenter.output.bias, 30.0)  # sure of everything; with Eq. 2 nothing is a head
    means = trained.epoch([batch])
    assert (means["segmentation"] > 25) == online


def test_images_are_normalised_without_their_padding():
    seen, trained, batch = [], Trained(), batch_of(1)
    batch = replace(batch, sizes=[(8, 16), (16, 4)])
    trained.counter.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    trained.epoch([batch])
    [images] = seen
    assert not images[0, :, 8:].any()
    assert not images[1, :, :, 4:].any()
    colours = [
        (batch.images[0, c, 2, 3] / 255 - m) / s for c, (m, s) in enumerate([(0.5, 0.2), (0.4, 0.25), (0.3, 0.3)])
    ]
    torch.testing.assert_close(images[0, :, 2, 3], torch.stack(colours))


class Halves:
    """A cache that keeps the first half of the features' channels apart."""

    stop_before = 3

    def split(self, features):
        return list(features.chunk(2, dim=1))


def test_cached_features_go_to_the_model_with_the_block_to_go_on_from():
    trained, batch = Trained(), batch_of(1)
    assert trained.parts.encoded(batch) == ()
    cached = replace(trained.parts, cache=Halves())
    assert cached.encoded(batch) == ()
    features = torch.arange(8.0).view(1, 4, 1, 2)
    levels, stop_before = cached.encoded(replace(batch, features=features))
    assert torch.equal(torch.cat(levels, dim=1), features)
    assert (len(levels), stop_before) == (2, 3)


def test_a_loss_that_is_not_finite_names_epoch_batch_and_images_and_steps_nowhere():
    trained, batch = Trained(), batch_of(4)
    nan = Targets(batch.targets.density * float("nan"), batch.targets.pseudo_mask, batch.targets.context_mask)
    trained.progress = TrainingProgress(epoch=6, batch=2)
    said = r"in epoch 7, batch 3: loss nan, density nan\. Images: image 40, image 41\. The last"
    with pytest.raises(RunError, match=said):
        trained.epoch([replace(batch, targets=nan)], of=9)
    assert all(not step.any() for step in trained.moved())


class Watching(Process):
    """Notes which batches are computed without the other processes, and what is clipped."""

    def __init__(self, progress):
        super().__init__()
        self.progress, self.alone, self.clipped = progress, [], []

    def no_sync(self, model):
        self.alone.append((self.progress.batch, model))
        return super().no_sync(model)

    def clip_grad_norm_(self, parameters, norm):
        self.clipped.append((list(parameters), norm))


def test_processes_exchange_gradients_only_where_a_step_follows():
    trained = Trained()
    process, model = Watching(trained.progress), nn.Sequential(trained.counter)
    trained.parts = replace(trained.parts, accelerator=process, model=model)
    trained.epoch([batch_of(seed) for seed in range(4)], accumulation=3)
    assert process.alone == [(0, model), (1, model)]


@pytest.mark.parametrize(("norm", "clipped"), [(0.0, []), (0.25, [0.25, 0.25])])
def test_gradients_are_clipped_by_what_knows_the_other_processes(norm, clipped):
    trained = Trained()
    process = Watching(trained.progress)
    trained.parts = replace(trained.parts, accelerator=process)
    trained.epoch(
        [batch_of(seed) for seed in range(3)],
        TrainRecipe(lr=RATE, schedule="constant", max_grad_norm=norm),
        accumulation=2,
    )
    assert [length for _, length in process.clipped] == clipped
    for parameters, _ in process.clipped:
        assert {id(p) for p in parameters} == {id(p) for p in trained.counter.parameters()}


class Called(nn.Module):
    """Keeps what it is called with beside the images."""

    def __init__(self, counter):
        super().__init__()
        self.counter, self.calls = counter, []

    def forward(self, images, *encoded):
        self.calls.append(encoded)
        return self.counter(images)


def test_an_epoch_calls_the_model_with_the_features_of_each_batch():
    trained = Trained()
    model = Called(trained.counter)
    features = [torch.full((2, 4, 1, 1), float(number)) for number in range(2)]
    batches = [replace(batch_of(number), features=features[number]) for number in range(2)]
    trained.epoch(batches)  # without a cache nothing of them is read
    trained.progress = TrainingProgress()
    trained.parts = replace(trained.parts, model=model, cache=Halves())
    trained.epoch(batches)
    assert [stop_before for _, stop_before in model.calls] == [3, 3]
    for (levels, _), given in zip(model.calls, features, strict=True):
        assert torch.equal(torch.cat(levels, dim=1), given)


class EnoughError(Exception):
    """Ends an epoch where a test has seen enough."""


def test_images_features_and_targets_go_to_the_device_that_trains():
    trained = Trained()
    process = Process()
    process.device = torch.device("meta")
    batch = replace(batch_of(1), features=torch.ones(2, 4, 1, 1))
    devices = []

    def loss(density, _logits, targets, *, epoch, counts):
        devices.extend(tensor.device.type for tensor in targets.maps.values())
        raise EnoughError

    class Model(Called):
        def forward(self, images, levels, stop_before):
            devices.extend(tensor.device.type for tensor in (images, *levels))
            return super().forward(images)

    counter = trained.counter.to("meta")
    trained.parts = replace(
        trained.parts, accelerator=process, counter=counter, model=Model(counter), loss=loss, cache=Halves()
    )
    with pytest.raises(EnoughError):
        trained.epoch([batch])
    assert devices == ["meta"] * 6
