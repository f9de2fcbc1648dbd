"""Evaluation mode for a while: a model that trains is evaluated in between, and is afterwards as it was."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import nn


@dataclass
class _Evaluated:
    """The modules that go back to training once the last of so many users has left."""

    training: list[nn.Module]
    users: int = 1


_lock = threading.Lock()
_evaluated: WeakKeyDictionary[nn.Module, _Evaluated] = WeakKeyDictionary()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and give each its own mode back: a frozen part may differ from the rest.

    Threads may evaluate one model at a time; the modes come back when the last has left. A model in which nothing
    trains, as every loaded counter, is left alone.
    """
    with _lock:
        entered = _evaluated.get(model)
        if entered is not None:
            entered.users += 1
        elif training := [module for module in model.modules() if module.training]:
            entered = _evaluated[model] = _Evaluated(training)
            for module in training:
                module.training = False
    try:
        yield
    finally:
        if entered is not None:
            _leave(model, entered)


def _leave(model: nn.Module, entered: _Evaluated) -> None:
    with _lock:
        entered.users -= 1
        if not entered.users:
            del _evaluated[model]
            for module in entered.training:
                module.training = True
