"""Evaluation mode for a while."""

import threading

from torch import nn

from sam_mprompt.models.evaluating import evaluating


def test_every_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1))
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False]


def test_training_comes_back_when_the_last_thread_has_left():
    model, inside, go_on = nn.Sequential(nn.Dropout()), threading.Event(), threading.Event()

    def stay():
        with evaluating(model):
            inside.set()
            go_on.wait(20)
            seen.append(model.training)

    seen: list[bool] = []
    with evaluating(model):
        thread = threading.Thread(target=stay)
        thread.start()
        inside.wait(20)
    assert not model.training
    go_on.set()
    thread.join(20)
    assert seen == [False]
    assert model.training


def test_a_model_in_evaluation_mode_is_left_alone():
    model = nn.Sequential(nn.Dropout()).eval()
    with evaluating(model):
        model.train()
    assert model.training
