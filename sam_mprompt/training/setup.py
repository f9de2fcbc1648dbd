"""What a training needs before its first batch, put together from the recipe. The order decides the random draws."""

from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ..adapter.find import find_adapter
from ..adapter.folder import AdapterFolder
from ..adapter.loading import init_from
from ..data.dataset import Batch, Crop, CropDataset, EpochBatches, collate
from ..data.sources import DiskSource
from ..errors import UsageError
from ..losses import MutualPromptLoss
from ..models.acceleration import channels_last, compile_encoder, enable_gradient_checkpointing
from ..models.build import BuiltCounter, build_counter
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe, TrainRecipe
from .block_counts import begin_with_counts
from .ema import MovingAverage
from .feature_cache import CachedCrops, FeatureCache, build_cache
from .loop import Parts
from .observer import Observer
from .optimizer import build_optimizer
from .run import RunFolder
from .sharding import hide_from_ddp, shard_frozen
from .splits import TrainingData
from .workers import POLL, start_worker


def start_accelerator(train: TrainRecipe, run: RunFolder) -> Accelerator:
    """Return what knows devices and other processes."""
    # accelerate keeps the precision of the first training in a process for all, and refuses another.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != train.precision:
        AcceleratorState._reset_state()
    log_with = "tensorboard" if train.tensorboard else None
    return Accelerator(mixed_precision=train.precision, log_with=log_with, project_dir=run.path)


def assemble(
    recipe: Recipe, data: TrainingData, accelerator: Accelerator, *, resume: bool, observer: Observer
) -> tuple[BuiltCounter, Parts]:
    """Build the counter and what trains it.

    Args:
        recipe: fully resolved.
        data: images whose features are cached where the recipe says so.
        accelerator: from `start_accelerator`.
        resume: a state follows, so that train.init_from is not read again.
        observer: hears of the cache.

    Raises:
        UsageError: base or options that cannot be had, or features that cannot be cached.
        RunError: the disk is full.
    """
    train = recipe.train
    set_seed(train.seed)
    segmenter, regressor = recipe.loss.segmentation > 0, recipe.loss.density > 0
    built = build_counter(
        recipe.model, recipe.tuning, segmenter=segmenter, regressor=regressor, bins=recipe.loss.block_bins
    )
    counter = built.counter
    if recipe.data.cache != "features":
        expect_crop(recipe.data.crop, counter.size_divisor)
    if train.init_from and not resume:
        init_from(AdapterFolder.read(find_adapter(train.init_from)), built, recipe.tuning.method)
    elif not resume:
        begin_with_counts(counter, data.train.source)
    save_time_and_memory(train, counter)
    loss = MutualPromptLoss(recipe.loss, stride=counter.stride)
    sharing = train.shard_encoder and accelerator.num_processes > 1
    if sharing:
        hide_from_ddp(counter)
    model, optimizer = accelerator.prepare(counter, build_optimizer(train, counter))
    if sharing:
        shard_frozen(counter, accelerator.num_processes, accelerator.device.type)
    cache = None
    if recipe.data.cache == "features":
        cache = cached_features(recipe, built, data, accelerator, observer)
    average = MovingAverage(counter, train.ema) if train.ema > 0 else None
    return built, Parts(accelerator, counter, cast(nn.Module, model), loss, optimizer, average, cache)


def expect_crop(side: int, size_divisor: int) -> None:
    """Refuse with UsageError crops that the encoder cannot take, naming the next sizes that it can."""
    if rest := side % size_divisor:
        near = [size for size in (side - rest, side - rest + size_divisor) if size]
        raise UsageError(
            f"data.crop: expected a multiple of {size_divisor}, such as {' or '.join(map(str, near))}, got {side}."
        )


def save_time_and_memory(train: TrainRecipe, counter: CrowdCounter) -> None:
    """Apply what changes figures by rounding alone. Raises UsageError for an encoder that cannot."""
    channels_last(counter)
    if train.gradient_checkpointing:
        enable_gradient_checkpointing(counter.encoder)
    if train.compile:
        compile_encoder(counter.encoder)


def cached_features(
    recipe: Recipe, built: BuiltCounter, data: TrainingData, accelerator: Accelerator, observer: Observer
) -> FeatureCache:
    """Compute what the encoder makes of the training images, in the main process first; the others find it.

    Raises:
        UsageError: features that cannot be cached.
        RunError: the disk is full.
    """
    assert isinstance(data.train.source, DiskSource), "the recipe refuses features of procedural scenes"
    with accelerator.main_process_first():
        return build_cache(
            built.counter,
            data.train.source,
            built.base.fingerprint,
            data=recipe.data,
            model=recipe.model,
            stop_before=recipe.tuning.first_block,
            device=accelerator.device,
            say=observer.say,
            progress=lambda done, total: observer.progress("encoding images", done, total),
        )


def batch_loader(recipe: Recipe, data: TrainingData, parts: Parts) -> tuple[EpochBatches, DataLoader[Batch]]:
    """Return the order of this process's crops and what loads them; `EpochBatches.start` chooses the epoch."""
    train, source, accelerator = recipe.train, data.train.source, parts.accelerator
    batches = EpochBatches(
        len(source),
        train.batch_size,
        seed=train.seed,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    crops: Dataset[Crop]
    if parts.cache is not None and isinstance(source, DiskSource):
        pixels = recipe.model.stem_channels > 0
        crops = CachedCrops(
            source,
            parts.cache,
            recipe.data,
            recipe.targets,
            seed=train.seed,
            stride=parts.counter.stride,
            pixels=pixels,
            points=recipe.loss.reads_points,
        )
    else:
        crops = CropDataset(
            source,
            recipe.data,
            recipe.targets,
            seed=train.seed,
            stride=parts.counter.stride,
            points=recipe.loss.reads_points,
        )
    loader: DataLoader[Any] = DataLoader(
        crops,
        batch_sampler=cast(Any, batches),
        collate_fn=collate,
        num_workers=train.workers,
        persistent_workers=train.workers > 0,
        worker_init_fn=start_worker,
        timeout=POLL if train.workers else 0,
        # Its own generator: one more iteration after resuming must not move the random state that dropout reads.
        generator=torch.Generator().manual_seed(train.seed),
        pin_memory=accelerator.device.type == "cuda",
    )
    return batches, loader
