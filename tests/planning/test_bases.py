from dataclasses import replace

import pytest

from sam_mprompt.planning.bases import SCRATCH, model_rows, way


def test_sams_weights_and_a_gpu_give_prompt_modules(workstation):
    chosen = way(workstation, 20)
    assert (chosen.kind, chosen.base) == ("prompts", "sam_vit_b")


def test_a_cpu_gets_the_lightest_base_that_has_seen_photographs_and_a_gpu_the_strongest(laptop, workstation):
    assert (way(laptop, 20).kind, way(laptop, 20).base) == ("photographs", "efficientnet-lite0")
    bare = replace(workstation, bases=laptop.bases)
    assert way(bare, 20).base == "efficientnet-lite2"


def test_sams_weights_alone_do_not_slow_a_cpu_down(laptop):
    assert way(replace(laptop, bases=(*laptop.bases, "sam_vit_b")), 20).base == "efficientnet-lite0"


def test_without_such_a_base_a_light_network_learns_from_scratch_or_features_are_cached(laptop):
    bare = replace(laptop, bases=("sam-tiny",))
    assert (way(bare, 20).kind, way(bare, 20).base) == ("scratch", SCRATCH)
    assert (way(bare, 5).kind, way(bare, 5).base) == ("cached", "sam-tiny")
    assert way(replace(laptop, bases=()), 5).kind == "scratch"


def test_what_is_lacking_is_named(laptop):
    assert "efficientnet-lite0 would be one" in way(replace(laptop, bases=()), 20).because


@pytest.mark.parametrize(
    ("base", "on_cpu", "on_gpu"),
    [
        ("efficientnet-lite1", "photographs", "photographs"),
        ("sam_vit_b", "cached", "prompts"),
        ("my.pth", "cached", "prompts"),
    ],
)
def test_a_base_that_was_asked_for_decides_the_method(laptop, workstation, base, on_cpu, on_gpu):
    assert [way(machine, 20, base).kind for machine in (laptop, workstation)] == [on_cpu, on_gpu]
    assert way(laptop, 20, base).base == base


def test_every_row_has_a_reason(laptop, workstation):
    for machine in (laptop, workstation, replace(laptop, bases=())):
        assert all(row.because for row in model_rows(way(machine, 20)))
