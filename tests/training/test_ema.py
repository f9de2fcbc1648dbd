import pytest
import torch
from torch import nn

from sam_mprompt.training.ema import MovingAverage, trained_tensors


class Model(nn.Module):
    """A frozen part and a trained one, each with weights and statistics."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)).requires_grad_(False)
        self.trained = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
        self.trained.register_buffer("table", torch.ones(1), persistent=False)
        nn.init.zeros_(self.trained[0].weight)

    @property
    def value(self):
        return self.trained[0].weight.item()

    def set(self, value):
        nn.init.constant_(self.trained[0].weight, value)


def test_what_is_averaged_is_what_trains_with_its_statistics():
    names = {"trained.0.weight", *(f"trained.1.{name}" for name in ("weight", "bias", "running_mean", "running_var"))}
    assert trained_tensors(Model()).keys() == names


def test_buffers_that_no_state_keeps_and_whole_numbers_are_not_averaged():
    model = nn.BatchNorm1d(2)
    model.register_buffer("table", torch.ones(1), persistent=False)
    assert trained_tensors(model).keys() == {"weight", "bias", "running_mean", "running_var"}


@pytest.mark.parametrize(
    ("updates", "decay"), [(0, 2 / 11), (1, 3 / 12), (8, 10 / 19), (78, 80 / 89), (80, 0.9), (10**6, 0.9)]
)
def test_the_start_is_forgotten_along_a_ramp_up_to_the_decay(updates, decay):
    model = Model()
    average = MovingAverage(model, 0.9)
    average.updates = updates
    model.set(1.0)
    average.update(model)
    assert average.values["trained.0.weight"].item() == pytest.approx(1 - decay)
    assert average.updates == updates + 1


def test_a_new_average_is_a_copy_of_the_weights_it_starts_from():
    model = Model()
    model.set(3.0)
    average = MovingAverage(model, 0.9)
    model.set(7.0)
    assert (average.values["trained.0.weight"].item(), average.updates) == (3.0, 0)


def test_statistics_of_batches_are_averaged_like_weights():
    model = Model()
    average = MovingAverage(model, 0.5)
    average.updates = 1000
    model.trained[1].running_mean.fill_(8.0)
    average.update(model)
    assert average.values["trained.1.running_mean"].item() == 4.0


def test_averaged_values_are_in_the_model_for_a_while_and_gone_after_it_also_after_an_error():
    model = Model()
    average = MovingAverage(model, 0.9)
    model.set(5.0)
    model.trained[1].running_var.fill_(6.0)
    with average.applied(model):
        assert (model.value, model.trained[1].running_var.item()) == (0.0, 1.0)
    assert (model.value, model.trained[1].running_var.item()) == (5.0, 6.0)
    with pytest.raises(RuntimeError, match="stopped"), average.applied(model):
        raise RuntimeError("stopped")
    assert model.value == 5.0
    assert average.values["trained.0.weight"].item() == 0.0


def test_averages_and_their_use_leave_no_graph():
    model = Model()
    average = MovingAverage(model, 0.9)
    average.update(model)
    with average.applied(model):
        assert model.trained[0].weight.requires_grad
    assert not any(value.requires_grad for value in average.values.values())
