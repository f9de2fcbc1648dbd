"""A whole training session of a small counter: everything is real but the images, their loader and the processes."""

from types import SimpleNamespace

import numpy as np
import torch
from pooling_backend import noise
from small_counter import batch_of, small_counter
from torch import nn

from sam_mprompt.data.augment import AnnotatedImage
from sam_mprompt.data.dataset import EpochBatches
from sam_mprompt.losses import MutualPromptLoss
from sam_mprompt.models.build import Base, BuiltCounter
from sam_mprompt.recipe.schema import parse_recipe
from sam_mprompt.training.ema import MovingAverage
from sam_mprompt.training.loop import Parts, Steps
from sam_mprompt.training.observer import Observer
from sam_mprompt.training.optimizer import build_optimizer
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.state import TrainingProgress

TABLE = {
    "data": {"format": "points", "min_side": 8, "crop": 32},
    "targets": {"pseudo_mask": "boxes"},
    "tuning": {"method": "full"},
    "loss": {"kappa": 1, "density_scale": 8.0},
    "infer": {"tile": 32, "overlap": 0},
}
TRAIN = {"epochs": 2, "batch_size": 2, "lr": 1e-3, "schedule": "constant", "validate_every": 1, "preview_every": 0}


class Process:
    """What accelerate's Accelerator is for one process on a CPU, and what it was asked."""

    device, scaler, process_index = torch.device("cpu"), None, 0

    def __init__(self, *, main=True, processes=1, any_asked=False):
        self.is_main_process, self.num_processes, self.any_asked = main, processes, any_asked
        self.waited, self.trackers, self.logged, self.reduced = 0, [], [], []

    def no_sync(self, model):
        return torch.enable_grad()

    def backward(self, loss):
        loss.backward()

    clip_grad_norm_ = staticmethod(nn.utils.clip_grad_norm_)

    def wait_for_everyone(self):
        self.waited += 1

    def reduce(self, flag, reduction):
        self.reduced.append((float(flag), reduction))
        return flag + self.any_asked

    def gather_for_metrics(self, own, *, use_gather_object):
        return own

    def init_trackers(self, name):
        self.trackers.append(name)

    def end_training(self):
        self.trackers.append(None)

    def log(self, values, step):
        self.logged.append((step, values))


class Shown:
    """Three images with 1, 2 and 3 heads."""

    def __len__(self):
        return 3

    def name(self, index):
        return f"image {index}"

    def original(self, index):
        return noise(16, 24, index), np.full((index + 1, 2), 8.0, np.float32)

    def frame(self, epoch, index):
        image, points = self.original(index)
        boxes = np.concatenate([points - 2, points + 2], axis=1)
        return AnnotatedImage(image, points, np.full(len(points), 9.0), boxes)


class Loader:
    """Batches of noise for what `EpochBatches` chooses, and the keys that were asked for."""

    def __init__(self, batches):
        self.batches, self.keys, self.stuck = batches, [], 0

    def __iter__(self):
        self.coming = iter(self.batches)
        return self

    def __next__(self):
        if self.stuck:
            self.stuck -= 1
            raise RuntimeError("DataLoader timed out after 1 seconds")
        keys = next(self.coming)
        self.keys.append(keys)
        return batch_of(keys[0][1])


class Listener(Observer):
    """Keeps all that it is told; `at` maps a number of batches to what is done then."""

    def __init__(self):
        self.said, self.batches, self.epochs, self.ended, self.at = [], [], [], 0, {}

    def say(self, line):
        self.said.append(line)

    def batch(self, done, total, values):
        self.batches.append((done, total, dict(values)))
        self.at.get(done, lambda: None)()

    def epoch(self, record):
        self.epochs.append(record)

    def end(self):
        self.ended += 1


def small_session(folder, train=None, *, images=6, process=None, progress=None, **tables):
    """Put a session together as `TrainingSession.open` does, in three batches of two an epoch."""
    recipe = parse_recipe({**TABLE, **tables, "train": {**TRAIN, **(train or {})}}, source="test")
    folder.mkdir(exist_ok=True)
    (folder / "recipe.toml").write_text(recipe.to_toml())
    process = process or Process()
    counter = small_counter(segmenter=recipe.loss.segmentation > 0)
    average = MovingAverage(counter, recipe.train.ema) if recipe.train.ema else None
    loss, optimizer = MutualPromptLoss(recipe.loss, stride=4), build_optimizer(recipe.train, counter)
    source = Shown()
    batches = EpochBatches(images, 2, seed=recipe.train.seed)
    return TrainingSession(
        recipe=recipe,
        data=SimpleNamespace(
            train=SimpleNamespace(source=source),
            val=SimpleNamespace(source=source),
            shown=source,
            lines=lambda: ["data"],
        ),
        run=RunFolder(folder),
        observer=Listener(),
        built=BuiltCounter(counter, Base("small", "0" * 64)),
        parts=Parts(process, counter, counter, loss, optimizer, average, None),
        steps=Steps(len(batches), recipe.train.gradient_accumulation),
        batches=batches,
        loader=Loader(batches),
        progress=progress or TrainingProgress(),
    )
