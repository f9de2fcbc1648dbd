"""Whose turn an encoder's adapters are."""

import copy
import pickle
import threading
import time

import pytest
import torch
from small_encoders import fill_adapter, images, small_sam
from tuned import tune

from sam_mprompt.errors import UsageError
from sam_mprompt.tuning.adapters import active_adapter, disable
from sam_mprompt.tuning.attach import add_adapter
from sam_mprompt.tuning.prompt_tuner import PromptConfig
from sam_mprompt.tuning.turns import Turns

SECONDS = 20


@pytest.fixture
def encoder():
    """An encoder with the adapters "default" and "other", which compute different things."""
    tuned = tune(small_sam())
    fill_adapter(tuned, "default")
    add_adapter(tuned, PromptConfig(bottleneck=3), "other")
    tuned.requires_grad_(False)
    return tuned.eval()


def started(*actions):
    threads = [threading.Thread(target=action, daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    return threads


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_threads_that_want_the_same_adapter_work_side_by_side(encoder):
    turns, together = Turns(encoder), threading.Barrier(3, timeout=SECONDS)

    def work():
        with turns.using("other"):
            together.wait()

    threads = started(work, work)
    together.wait()
    for thread in threads:
        thread.join(SECONDS)
    assert not together.broken


def test_who_wants_another_adapter_waits_and_is_not_overtaken(encoder):
    turns, order, go_on = Turns(encoder), [], threading.Event()

    def first():
        with turns.using("default"):
            order.append("default")
            go_on.wait(SECONDS)
            order.append(active_adapter(encoder))

    def wants(name):
        def work():
            with turns.using(name):
                order.append(f"{name} is {active_adapter(encoder)}")

        return work

    threads = started(first)
    until(lambda: order)
    threads += started(wants("other"))
    time.sleep(0.05)
    threads += started(wants("default"))
    time.sleep(0.05)
    assert order == ["default"]
    go_on.set()
    for thread in threads:
        thread.join(SECONDS)
    assert order == ["default", "default", "other is other", "default is default"]


def test_whoever_changes_adapters_is_alone(encoder):
    turns, inside, go_on = Turns(encoder), [], threading.Event()

    def change():
        with turns.alone():
            inside.append("change")
            go_on.wait(SECONDS)
            inside.append("changed")

    def work():
        with turns.using("default"):
            inside.append("work")

    threads = started(change)
    until(lambda: inside)
    threads += started(work, change)
    time.sleep(0.05)
    assert inside == ["change"]
    go_on.set()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(inside) == ["change", "change", "changed", "changed", "work"]


def test_an_error_inside_a_turn_ends_it(encoder):
    turns = Turns(encoder)
    with pytest.raises(ValueError, match="broken"), turns.using("default"):
        raise ValueError("broken")
    with pytest.raises(UsageError, match="no adapter 'none'"), turns.using("none"):
        pass
    with turns.using("other"):
        assert active_adapter(encoder) == "other"


def test_a_turn_leaves_disabled_adapters_disabled(encoder):
    turns = Turns(encoder)
    with torch.no_grad():
        base = small_sam().eval()(images())
        with disable(encoder):
            for name in ("default", "other", "default"):
                with turns.using(name):
                    assert torch.equal(encoder(images()), base)
        with turns.using("default"):
            assert not torch.equal(encoder(images()), base)


def test_copies_and_pickles_share_turns_with_their_own_encoder(encoder):
    for made in (copy.deepcopy(Turns(encoder)), pickle.loads(pickle.dumps(Turns(encoder)))):
        with made.using("other"):
            assert active_adapter(made.encoder) == "other"
        assert active_adapter(encoder) == "default"
