"""Rules: from a dataset's profile and a machine to a recipe's values. Pure functions, all in docs/planning.md."""

import math

from .bases import Way
from .machine import Machine
from .profile import Profile
from .rows import Row
from .timing import Timing

CELLS_APART = 2
"""Neighbouring heads should lie this many density cells apart."""

MOST_ENLARGED = 3.0
"""Pixels that are made up show nothing new."""

SIGMA_SHARE, KERNEL_SIGMAS, RADIUS_SHARE = 0.2, 3.75, 0.3
"""Of the distance between neighbours: a Gaussian that overlaps little; the kernel's width; a head's radius."""

SMALLEST_CROP = 64
FEW_IMAGES, FEW_FOLDS, MOST_FOLDS = 60, 2, 3
MEMORY_SHARE = 0.4
"""Of the memory; the rest is for the system, the program and what was not measured."""

TIME_SHARE = 0.9
"""Of the minutes; the rest is for what was not timed: saving, pictures, a machine that is busier later."""

MOST_EPOCHS, FOLD_SHARE = 2000, 0.5
VALIDATIONS, VALIDATION_SHARE = 15, 0.2
"""So many times the val split is counted, or as often as this share of the time allows."""

ENSEMBLE = (
    "no ensemble of seeds: an adapter holds one network, so that several cannot be averaged in it yet; the time goes "
    "to folds and epochs"
)


def scale(profile: Profile, way: Way) -> Row:
    """Bring the typical distance between neighbours to two density cells, without enlarging more than threefold."""
    if profile.spacing is None:
        return Row("data.scale", 1.0, "no image has two heads, whose distance would tell")
    wanted = CELLS_APART * way.stride
    factor = float(f"{min(wanted / profile.spacing, MOST_ENLARGED):.2g}")
    capped = f", and more than {MOST_ENLARGED:g} shows nothing new" if wanted / profile.spacing > MOST_ENLARGED else ""
    return Row(
        "data.scale",
        max(0.01, factor),
        f"neighbouring heads are {profile.spacing:.3g} pixels apart; {wanted} pixels are {CELLS_APART} cells of "
        f"{way.stride}{capped}",
    )


def sides(profile: Profile, factor: float) -> list[Row]:
    """Let the scale alone decide, up to the largest training image."""
    longest = max(SMALLEST_CROP, math.ceil(profile.largest_side * factor))
    return [
        Row("data.min_side", 32, "the scale alone decides, also for small images"),
        Row("data.max_side", longest, "as the largest training image; larger ones come from a finer camera"),
    ]


def targets(profile: Profile, factor: float, way: Way) -> list[Row]:
    """Spread a head over a fifth of the distance to its neighbour, at least half a cell; the mask covers the head."""
    apart = profile.spacing * factor if profile.spacing is not None else float(CELLS_APART * way.stride)
    sigma = round(min(max(SIGMA_SHARE * apart, way.stride / 2), 12.0), 2)
    kernel = 2 * math.ceil((KERNEL_SIGMAS * sigma - 1) / 2) + 1
    why = f"{SIGMA_SHARE:g} of the {apart:.3g} pixels between neighbours, at least half a cell"
    if profile.head_side is not None:
        radius, reason = profile.head_side * factor / 2, "half of the median head box"
    else:
        radius, reason = RADIUS_SHARE * apart, f"{RADIUS_SHARE:g} of the distance between neighbours"
    return [
        Row("targets.sigma", sigma, why),
        Row("targets.kernel_size", kernel, f"odd, {KERNEL_SIGMAS:g} sigma wide"),
        Row("targets.point_dilation", max(1, round(radius)), reason),
    ]


def crop(profile: Profile, factor: float, way: Way) -> Row:
    """Take the wanted crop, or what fits the images: for cached features the smallest, else the typical one."""
    side = profile.smallest_side if way.kind == "cached" else profile.short_side
    fits = math.floor(side * factor / way.size_divisor) * way.size_divisor
    least = way.size_divisor if way.kind == "cached" else SMALLEST_CROP
    value = max(least, min(way.crop, fits))
    if value == way.crop:
        return Row("data.crop", value, "the images are larger: a part of one is enough for a step")
    which = "smallest" if way.kind == "cached" else "typical"
    return Row("data.crop", value, f"the {which} image's shorter side is {side * factor:.0f} pixels after scaling")


def batch(side: int, images: int, way: Way, machine: Machine) -> Row:
    """Take the wanted batch, or what fits the memory and the number of images."""
    room = MEMORY_SHARE * machine.training_gb * 1e9
    fits = int(room // (way.bytes_per_pixel * side**2))
    value = max(1, min(way.batch, fits, images))
    where = machine.gpu or "CPU"
    if value == way.batch:
        return Row(
            "train.batch_size", value, f"small batches give more steps a minute; {where}: there is memory for {fits}"
        )
    if value == images:
        return Row("train.batch_size", value, f"there are {images} images")
    return Row(
        "train.batch_size", value, f"{MEMORY_SHARE:.0%} of the {machine.training_gb:.1f} GB of {where} hold so many"
    )


def tiles(profile: Profile, factor: float, way: Way, machine: Machine) -> list[Row]:
    """Count an image whole where it is not too large; else in tiles that overlap by a quarter or 128 pixels."""
    longest = math.ceil(profile.largest_side * factor / way.size_divisor) * way.size_divisor
    most = 896 if way.kind == "prompts" else 2048 if machine.gpu else 1280
    if way.kind == "cached" or longest <= most:
        tile = min(8192, max(SMALLEST_CROP, longest))
        why = f"images are at most {longest} pixels long after scaling, and are counted whole"
    else:
        tile, why = most, f"images are up to {longest} pixels long after scaling, more than is counted at once"
    return [
        Row("infer.tile", tile, why),
        Row("infer.overlap", min(128, tile // 4), "what a head's surroundings need at a seam"),
    ]


def augmentation(way: Way) -> list[Row]:
    """Vary size and colour, but for features that are cached."""
    if way.kind == "cached":
        return [
            Row("data.cache", "features", "the frozen base runs once an image"),
            Row("data.jitter", 0.0, "cached features are those of the image as it is"),
        ]
    return [
        Row("data.cache", "images", "each image is decoded and resized once"),
        Row("data.random_scale", [0.8, 1.25], "other images show heads larger and smaller"),
        Row("data.jitter", 0.2, "other images are brighter and darker"),
    ]


def precision(way: Way, machine: Machine) -> list[Row]:
    """Train convolutions in bfloat16 on a CPU that multiplies it; elsewhere the recipe's default stands."""
    if machine.gpu or not machine.bfloat16 or way.kind not in ("photographs", "scratch"):
        return []
    return [Row("train.precision", "bf16", "this CPU multiplies bfloat16 faster than float32, and errors are the same")]


def workers(machine: Machine) -> Row:
    """Leave one core to what trains; a single core does both."""
    value = min(machine.cores - 1, 8 if machine.gpu else 2)
    return Row("train.workers", value, f"{machine.cores} cores, of which one trains")


def folds(profile: Profile) -> Row:
    """Below 60 images, without a val split, train on all and let folds tell the error."""
    if profile.val_images:
        return Row("train.folds", 0, "the dataset has a val split of its own")
    if profile.images >= FEW_IMAGES:
        return Row("train.folds", 0, f"{profile.images} images are enough to carve a val split from")
    value = MOST_FOLDS if profile.images >= 2 * MOST_FOLDS else FEW_FOLDS
    return Row(
        "train.folds",
        value,
        f"{profile.images} images, fewer than {FEW_IMAGES}: all train, and each is held out once to tell the error",
    )


def length(profile: Profile, batch_size: int, folds: int, minutes: float, timing: Timing) -> list[Row]:
    """Fill the minutes: epochs by the seconds of a step, and what depends on them."""
    carved = 0 if folds or profile.val_images else max(1, profile.images // 10)
    steps = math.ceil((profile.images - carved) / batch_size)
    # K trainings of half the steps; as they see all but a K-th of the images, they need more than half of the epochs.
    trainings = 1 + folds * FOLD_SHARE
    once = timing.image * (profile.images if folds else profile.val_images or carved)
    room = TIME_SHARE * 60 * minutes - timing.preparation
    times = max(1, min(1 if folds else VALIDATIONS, int(VALIDATION_SHARE * room / once) if once else VALIDATIONS))
    seconds = room - times * once
    epochs = max(1, min(MOST_EPOCHS, int(seconds / (steps * timing.step * trainings))))
    half = max(1, round(epochs * FOLD_SHARE * folds / (folds - 1))) if folds else 0
    why = f"{minutes:g} minutes at {timing.step:.2g} s a step and {steps} steps an epoch"
    if folds:
        why += f", of which {folds} folds take {1 - 1 / trainings:.0%}"
    if epochs == MOST_EPOCHS:
        why = f"more than {MOST_EPOCHS} wear the images out"
    saved = Row("train.validate_every", math.ceil(epochs / 4), "the adapter is kept so often")
    if not folds:
        counted = f"the best epoch is kept; the val split takes {min(times, epochs) * once:.0f} s to count in all"
        saved = Row("train.validate_every", math.ceil(epochs / times), counted)
    rows = [
        Row("train.epochs", epochs, why),
        Row("train.schedule", "cosine", "it ends where the training ends"),
        Row("train.warmup_epochs", max(1.0, round(epochs / 20, 1)), "a twentieth, at least one epoch"),
        saved,
        Row("loss.kappa", epochs // 4, "a quarter of the epochs, as in the CPU recipes"),
    ]
    if folds:
        rows.insert(1, Row("train.fold_epochs", half, "half of the steps: the error it tells is on the safe side"))
    return rows


def constants() -> list[Row]:
    """Return what does not depend on images or machine."""
    return [
        Row("train.max_grad_norm", 5.0, "a single odd crop does not throw the weights off"),
        Row("train.ema", 0.98, "averaged weights count better than the last ones"),
        Row("train.preview_every", 0, "pictures take time; the last one is drawn"),
        Row("train.seed", 0, ENSEMBLE),
    ]
