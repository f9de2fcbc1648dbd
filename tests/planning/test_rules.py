from dataclasses import replace

import pytest

from sam_mprompt.planning import rules
from sam_mprompt.planning.bases import way
from sam_mprompt.planning.timing import Timing


@pytest.fixture
def light(laptop):
    return way(laptop, 20)


@pytest.fixture
def cached(laptop):
    return way(replace(laptop, bases=("sam-tiny",)), 5)


def values(rows):
    return {row.key: row.value for row in rows}


@pytest.mark.parametrize(("spacing", "factor"), [(16, 1.0), (32, 0.5), (8, 2.0), (25.6, 0.62), (200, 0.08)])
def test_the_scale_brings_neighbouring_heads_two_cells_apart(profile_with, light, spacing, factor):
    assert rules.scale(profile_with(spacing=spacing), light).value == pytest.approx(factor, abs=0.011)


def test_nothing_is_enlarged_more_than_threefold_and_the_plan_says_so(profile_with, light):
    row = rules.scale(profile_with(spacing=2.0), light)
    assert (row.value, "shows nothing new" in row.because) == (3.0, True)


def test_without_neighbours_images_keep_their_size(profile_with, light):
    assert rules.scale(profile_with(spacing=None), light).value == 1.0


def test_the_scale_follows_the_density_stride(profile_with, workstation):
    chosen = way(workstation, 20)
    assert rules.scale(profile_with(spacing=16), chosen).value == pytest.approx(2 * chosen.stride / 16)


def test_the_scale_alone_decides_up_to_the_largest_training_image(profile_with):
    assert values(rules.sides(profile_with(largest_side=1000), 0.5)) == {"data.min_side": 32, "data.max_side": 500}


def test_sigma_follows_the_spacing_of_neighbouring_heads(profile_with, light):
    wide = values(rules.targets(profile_with(spacing=32), 1.0, light))
    wider = values(rules.targets(profile_with(spacing=40), 1.0, light))
    scaled = values(rules.targets(profile_with(spacing=80), 0.5, light))
    assert (wide["targets.sigma"], wider["targets.sigma"]) == (6.4, 8.0)
    assert scaled == wider


def test_sigma_is_at_least_half_a_cell(profile_with, light):
    assert values(rules.targets(profile_with(spacing=2), 1.0, light))["targets.sigma"] == light.stride / 2


def test_the_kernel_is_odd_and_follows_sigma(profile_with, light):
    found = values(rules.targets(profile_with(spacing=40), 1.0, light))
    assert (found["targets.sigma"], found["targets.kernel_size"]) == (8.0, 31)
    assert values(rules.targets(profile_with(), 1.0, light))["targets.kernel_size"] == 15


def test_the_radius_of_a_head_is_half_its_box_where_boxes_are_given(profile_with, light):
    assert values(rules.targets(profile_with(head_side=20.0), 0.5, light))["targets.point_dilation"] == 5
    assert values(rules.targets(profile_with(spacing=40), 0.5, light))["targets.point_dilation"] == 6


def test_a_crop_fits_the_typical_image(profile_with, light):
    assert rules.crop(profile_with(), 1.0, light).value == light.crop
    assert rules.crop(profile_with(short_side=150), 1.8, light).value == 256
    assert rules.crop(profile_with(short_side=20), 1.0, light).value == rules.SMALLEST_CROP


def test_light_networks_train_in_bfloat16_where_a_cpu_multiplies_it(light, cached, laptop, workstation):
    able = replace(laptop, bfloat16=True)
    assert values(rules.precision(light, able)) == {"train.precision": "bf16"}
    assert values(rules.precision(replace(light, kind="scratch"), able)) == {"train.precision": "bf16"}
    assert rules.precision(cached, able) == rules.precision(light, laptop) == []
    assert rules.precision(light, replace(workstation, bfloat16=True)) == []


def test_a_crop_of_cached_features_fits_the_smallest_image(profile_with, cached):
    assert rules.crop(profile_with(smallest_side=150), 1.0, cached).value == 144


def test_a_batch_shrinks_where_memory_or_images_are_few(light, laptop):
    assert rules.batch(320, 30, light, laptop).value == light.batch
    assert rules.batch(320, 30, light, replace(laptop, memory_gb=3.2)).value == 2
    assert rules.batch(320, 30, light, replace(laptop, memory_gb=0.1)).value == 1
    assert rules.batch(320, 3, light, laptop).value == 3


def test_on_a_gpu_its_own_memory_decides_the_batch(workstation):
    chosen = way(workstation, 20)
    assert rules.batch(448, 100, chosen, workstation).value == chosen.batch
    assert rules.batch(448, 100, chosen, replace(workstation, gpu_gb=6.0)).value == 2


def test_images_are_counted_whole_until_they_are_large(profile_with, light, laptop):
    assert values(rules.tiles(profile_with(), 1.0, light, laptop)) == {"infer.tile": 1024, "infer.overlap": 128}
    assert values(rules.tiles(profile_with(largest_side=9000), 1.0, light, laptop))["infer.tile"] == 1280
    assert values(rules.tiles(profile_with(largest_side=90), 1.0, light, laptop)) == {
        "infer.tile": 96,
        "infer.overlap": 24,
    }


def test_images_of_cached_features_are_counted_whole_whatever_their_size(profile_with, cached, laptop):
    assert values(rules.tiles(profile_with(largest_side=3000), 1.0, cached, laptop))["infer.tile"] == 3008


def test_cached_features_are_neither_zoomed_nor_coloured(light, cached):
    assert values(rules.augmentation(cached)) == {"data.cache": "features", "data.jitter": 0.0}
    assert values(rules.augmentation(light))["data.random_scale"] == [0.8, 1.25]


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 1), (16, 2)])
def test_one_core_is_left_to_what_trains(laptop, cores, workers):
    assert rules.workers(replace(laptop, cores=cores)).value == workers


@pytest.mark.parametrize(("images", "val_images", "folds"), [(2, 0, 2), (6, 0, 3), (59, 0, 3), (60, 0, 0), (30, 1, 0)])
def test_below_sixty_images_without_a_val_split_folds_tell_the_error(profile_with, images, val_images, folds):
    assert rules.folds(profile_with(images=images, val_images=val_images)).value == folds


def spent(profile, rows, timing, batch, folds):
    """Seconds that a plan takes, counted as the training does it."""
    epochs = values(rows)["train.epochs"]
    steps = -(-profile.images // batch) * epochs
    for fold in range(folds):
        kept = profile.images - len(range(fold, profile.images, folds))
        steps += -(-kept // batch) * values(rows)["train.fold_epochs"]
    return timing.preparation + steps * timing.step + profile.images * timing.image


def test_epochs_and_folds_fill_the_minutes_and_no_more(profile_with):
    seen, timing = profile_with(), Timing(0.5, 0.3, 10.0)
    rows = rules.length(seen, 4, 3, 20, timing)
    assert 0.8 * 1200 < spent(seen, rows, timing, 4, 3) < 1200


@pytest.mark.parametrize("folds", [2, 3])
def test_a_fold_takes_half_of_the_steps_of_the_whole_training(profile_with, folds):
    found = values(rules.length(profile_with(images=60), 4, folds, 60, Timing(0.2, 0.0)))
    kept = 60 - 60 // folds
    assert kept / 4 * found["train.fold_epochs"] == pytest.approx(60 / 4 * found["train.epochs"] / 2, rel=0.05)


def test_twice_the_minutes_give_twice_the_epochs_and_a_slow_machine_half(profile_with):
    epochs = [
        values(rules.length(profile_with(), 4, 3, minutes, Timing(step, 0.0)))["train.epochs"]
        for minutes, step in ((20, 0.5), (40, 0.5), (20, 1.0))
    ]
    assert epochs[1] == pytest.approx(2 * epochs[0], abs=2)
    assert epochs[2] == pytest.approx(epochs[0] / 2, abs=2)


def test_however_short_the_time_one_epoch_is_trained_and_however_long_no_more_than_wear_out(profile_with):
    assert values(rules.length(profile_with(), 4, 3, 0.01, Timing(9.0, 9.0, 99.0)))["train.epochs"] == 1
    assert values(rules.length(profile_with(), 4, 3, 1000, Timing(1e-3, 0.0)))["train.epochs"] == rules.MOST_EPOCHS


@pytest.mark.parametrize("val_images", [0, 10])
def test_validations_of_a_val_split_are_counted_into_the_time(profile_with, val_images):
    seen = profile_with(images=100, val_images=val_images)
    rows, timing = rules.length(seen, 4, 0, 20, Timing(0.5, 1.0, 60.0)), Timing(0.5, 1.0, 60.0)
    epochs, every = values(rows)["train.epochs"], values(rows)["train.validate_every"]
    steps = -(-(100 if val_images else 90) // 4) * epochs
    assert 0.85 * 1200 < timing.preparation + steps * timing.step + 10 * timing.image * -(-epochs // every) < 1200


def test_a_val_split_that_is_slow_to_count_is_counted_less_often_and_leaves_the_time_to_training(profile_with):
    seen, step = profile_with(images=240, val_images=200), 6.0
    rows = values(rules.length(seen, 4, 0, 60, Timing(step, 2.0)))
    assert rows["train.epochs"] == 7  # of 60 steps: 2520 of 3240 seconds
    assert rows["train.validate_every"] == 7
    rare = values(rules.length(seen, 4, 0, 600, Timing(step, 2.0)))
    assert -(-rare["train.epochs"] // rare["train.validate_every"]) * 200 * 2.0 <= rules.VALIDATION_SHARE * 36000


def test_the_plan_says_that_there_is_no_ensemble():
    assert "no ensemble" in next(row for row in rules.constants() if row.key == "train.seed").because
