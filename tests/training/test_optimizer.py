import pytest
import torch
from torch import nn

from sam_mprompt.errors import RunError
from sam_mprompt.recipe.schema import TrainRecipe
from sam_mprompt.training.muon import Muon
from sam_mprompt.training.optimizer import build_optimizer, finite_values, take_step


def stepped(*, max_grad_norm):
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD([{"params": [model.weight], "share": 0.5}], lr=1.0)
    model(torch.tensor([[3.0, 4.0]])).sum().backward()
    take_step(optimizer, model, lr=0.2, max_grad_norm=max_grad_norm)
    return model.weight.detach()[0].tolist(), model.weight.grad


def test_a_step_goes_along_the_gradient_at_the_groups_share_of_the_rate_and_clears_it():
    weight, gradient = stepped(max_grad_norm=0.0)
    assert weight == pytest.approx([-0.3, -0.4])
    assert gradient is None


def test_a_gradient_longer_than_the_limit_is_shortened_to_it():
    assert stepped(max_grad_norm=1.0)[0] == pytest.approx([-0.06, -0.08], rel=1e-4)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused_with_its_terms_and_the_place(loss):
    terms = {"loss": torch.tensor(loss), "density": torch.tensor(0.5)}
    with pytest.raises(RunError, match=r"in step 3: loss (nan|inf), density 0\.5\. Images: a\.png\. The last"):
        finite_values(terms, "step 3", lambda: " Images: a.png.")


def test_a_loss_that_is_no_number_says_what_is_kept_and_what_to_change():
    with pytest.raises(RunError) as told:
        finite_values({"loss": torch.tensor(float("nan"))}, "step 3")
    assert str(told.value) == (
        "The loss is not finite in step 3: loss nan. The last saved state is kept; lower train.lr or set "
        "train.max_grad_norm."
    )
    assert told.value.about == "diverged"


def test_finite_terms_come_back_as_numbers():
    assert finite_values({"loss": torch.tensor(1.5, requires_grad=True)}, "step 1") == {"loss": 1.5}


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.output = nn.Linear(3, 1)
        self.frozen = nn.Linear(2, 2)
        self.frozen.requires_grad_(False)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_recipe_chooses_the_optimizer_its_rate_and_its_decay(name, kind):
    model = Decoder()
    made = build_optimizer(TrainRecipe(optimizer=name, lr=0.125, weight_decay=0.25), model)
    assert type(made) is kind
    [group] = made.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.125, 0.25)
    assert {id(p) for p in group["params"]} == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize(("name", "expected"), [("adam", 1.875), ("adamw", 1.9375)])
def test_adam_adds_the_decay_to_the_gradient_and_adamw_takes_it_from_the_weight(name, expected):
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 2.0)
    optimizer = build_optimizer(TrainRecipe(optimizer=name, lr=0.125, weight_decay=0.25), weight)
    weight.weight.grad = torch.zeros(
        1, 1
    )  # so that only the decay moves it: by the rate in Adam, by its share in AdamW
    optimizer.step()
    assert weight.weight.item() == pytest.approx(expected)


def test_muon_steps_inner_matrices_and_adamw_the_last_layers_and_all_vectors():
    model = Decoder()
    counter = nn.ModuleDict({"regressor": model})
    made = build_optimizer(TrainRecipe(optimizer="muon", lr=0.125, weight_decay=0.25), counter)
    assert isinstance(made, Muon)
    parts = {group["orthogonal"]: [id(p) for p in group["params"]] for group in made.param_groups}
    assert parts[True] == [id(model.inner.weight)]
    assert parts[False] == [id(model.inner.bias), id(model.output.weight), id(model.output.bias)]
    assert {(group["lr"], group["weight_decay"]) for group in made.param_groups} == {(0.125, 0.25)}


def test_a_group_without_a_share_learns_at_the_whole_rate():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    model(torch.ones(1, 1)).sum().backward()
    take_step(torch.optim.SGD(model.parameters(), lr=9.0), model, lr=0.25, max_grad_norm=0.0)
    assert model.weight.item() == -0.25
