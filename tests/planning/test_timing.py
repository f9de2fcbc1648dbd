from itertools import count

import torch

from sam_mprompt.planning.timing import time_training
from sam_mprompt.recipe.schema import load_recipe


def test_real_steps_are_timed_and_leave_nothing_behind(tiny_recipe, crowd_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ticks = count()
    torch.manual_seed(5)
    timing = time_training(load_recipe(tiny_recipe), crowd_folder, clock=lambda: float(next(ticks)))
    assert timing.step >= 1
    assert timing.image == 1
    assert timing.preparation == 1
    assert list(tmp_path.iterdir()) == []


def test_timing_is_bounded_on_a_machine_that_stands_still(tiny_recipe, crowd_folder):
    ticks = count(step=100)
    read = []

    def clock():
        read.append(next(ticks))
        return float(read[-1])

    recipe = load_recipe(tiny_recipe, ["train.batch_size=1"])
    assert time_training(recipe, crowd_folder, clock=clock).step >= 100
    assert len(read) < 10
