"""An exponential moving average of what is trained: steadier than the last step's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class MovingAverage:
    """Averages the trainable parameters and the heads' floating-point buffers (batch norm statistics).

    Args:
        model: whose current values the average starts from.
        decay: in (0, 1); early on min(decay, (1 + n) / (10 + n)) after n updates, so that the start is forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {name: tensor.detach().clone() for name, tensor in trained_tensors(model).items()}

    def update(self, model: nn.Module) -> None:
        """Move towards the current values; called after every optimizer step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in trained_tensors(model).items():
            self.values[name].lerp_(tensor, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Put the averaged values into the model; the trained ones come back afterwards."""
        current = trained_tensors(model)
        kept = {name: tensor.detach().clone() for name, tensor in current.items()}
        _copy(self.values, current)
        try:
            yield
        finally:
            _copy(kept, current)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return by name the floating-point tensors that training changes: parameters, and buffers beside them.

    They share the model's memory and record no gradients.
    """
    found = {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}
    owners = {name.rpartition(".")[0] for name in found}
    persistent = model.state_dict()
    for name, buffer in model.named_buffers():
        if name in persistent and buffer.is_floating_point() and name.rpartition(".")[0] in owners:
            found[name] = buffer
    return found


def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
