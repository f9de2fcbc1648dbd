import pytest
import torch
from torch import nn

from sam_mprompt.errors import RunError
from sam_mprompt.training.optimizer import finite_values, take_step


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


def test_finite_terms_come_back_as_numbers():
    assert finite_values({"loss": torch.tensor(1.5, requires_grad=True)}, "step 1") == {"loss": 1.5}
