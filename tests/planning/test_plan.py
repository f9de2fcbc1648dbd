import tomllib
from dataclasses import replace

import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.planning.plan import plan, recipe_name
from sam_mprompt.planning.timing import Timing
from sam_mprompt.recipe.schema import parse_recipe


def planned(root, machine, *, minutes=20.0, timer=lambda recipe, root: Timing(0.5, 0.1), **more):
    return plan(root, minutes=minutes, machine=machine, timer=timer, **more)


@pytest.fixture
def bare(laptop):
    """A machine with nothing but what ships."""
    return replace(laptop, bases=("sam-tiny",))


def test_a_plans_toml_is_its_recipe_with_a_reason_above_every_value(photos, bare):
    made = planned(photos, bare)
    text = made.to_toml()
    assert parse_recipe(tomllib.loads(text), source="test") == made.recipe
    for row in made.rows:
        assert f"# {row.because}\n{row.key.rpartition('.')[2]} =" in text


@pytest.mark.parametrize("minutes", [5, 20])
def test_every_way_of_training_is_a_valid_recipe(photos, laptop, bare, workstation, minutes):
    for machine in (laptop, bare, workstation, replace(workstation, bases=laptop.bases)):
        assert planned(photos, machine, minutes=minutes).recipe.data.format == "points"


def test_the_test_split_never_changes_a_plan(photos, bare):
    before = planned(photos, bare).to_toml()
    (photos / "p6.txt").write_text("1 1\n" * 1)
    (photos / "p7.png").write_bytes(b"no image")
    assert planned(photos, bare).to_toml() == before
    (photos / "test.txt").write_text("p6.png\n")
    assert planned(photos, bare).to_toml() == before


def test_the_training_split_does(photos, bare):
    before = planned(photos, bare).to_toml()
    for number in range(6):
        (photos / f"p{number}.txt").write_text("10 10\n50 10\n90 10\n")
    assert planned(photos, bare).to_toml() != before


def test_timing_decides_the_length_alone(photos, bare):
    fast, slow = (
        {row.key: row.value for row in planned(photos, bare, timer=lambda recipe, root, s=s: Timing(s, 0.1)).rows}
        for s in (0.5, 2.0)
    )
    changed = {key for key in fast if fast[key] != slow[key]}
    assert changed == {
        "train.epochs", "train.fold_epochs", "train.warmup_epochs", "train.validate_every", "loss.kappa",
    }  # fmt: skip


def test_what_is_given_stands_in_the_plan_and_is_what_is_timed(photos, bare):
    seen = []

    def timer(recipe, root):
        seen.append(recipe)
        return Timing(0.5, 0.1)

    made = planned(photos, bare, timer=timer, overrides=["train.batch_size=2", "data.crop=64", "name=station"])
    assert (seen[0].train.batch_size, seen[0].data.crop) == (2, 64)
    assert (made.recipe.train.batch_size, made.recipe.name) == (2, "station")
    assert next(row for row in made.rows if row.key == "data.crop").because == "it was given"


def test_epochs_that_are_given_hold_whatever_the_time(photos, bare):
    assert planned(photos, bare, overrides=["train.epochs=3"]).recipe.train.epochs == 3


@pytest.mark.parametrize("how", [{"base": "efficientnet-lite2"}, {"overrides": ["model.base=efficientnet-lite2"]}])
def test_a_base_decides_the_method_however_it_is_given(photos, bare, how):
    model = planned(photos, bare, **how).recipe.model
    assert (model.encoder, model.base, model.pretrained) == ("timm", "efficientnet-lite2", True)


def test_folds_can_be_switched_off_and_on(photos, bare):
    off = planned(photos, bare, overrides=["train.folds=0"]).recipe.train
    assert (off.folds, off.fold_epochs) == (0, 0)
    more = planned(photos, bare, overrides=["train.folds=6"]).recipe.train
    assert (more.folds, more.fold_epochs > 0) == (6, True)


def test_a_misspelt_override_is_told_with_the_right_name(photos, bare):
    with pytest.raises(UsageError, match=r"train\.epoch: unknown key. Did you mean 'epochs'"):
        planned(photos, bare, overrides=["train.epoch=3"])


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), 1e9])
def test_minutes_out_of_range_are_refused(photos, bare, minutes):
    with pytest.raises(UsageError, match="minutes, got"):
        planned(photos, bare, minutes=minutes)


def test_a_recipe_is_named_by_its_folder_as_far_as_recipes_can_be(photos, tmp_path):
    assert recipe_name(photos) == "my-photos"
    assert recipe_name(tmp_path / "Ü") == "planned"
