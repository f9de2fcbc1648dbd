"""A run's model as its state keeps it, segmenter included."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..arrays import ByteImage
from ..counting.predict import predict_with_mask
from ..counting.result import Prediction
from ..counting.torch_backend import TorchBackend
from ..errors import UsageError
from ..models.build import build_counter
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe, load_recipe
from .run import RunFolder
from .state import load_weights


@dataclass(frozen=True)
class TrainedRun:
    """A run's model: its last weights, not its best epoch's."""

    counter: CrowdCounter
    recipe: Recipe
    device: torch.device

    @property
    def has_masks(self) -> bool:
        """Whether it has a segmenter."""
        return self.counter.predicts_masks

    def predict(self, image: ByteImage) -> Prediction:
        """Count a uint8 RGB image (H, W, 3) and mark its heads. Raises UsageError for a run without a segmenter."""
        return predict_with_mask(TorchBackend(self.counter, self.device), image, self.recipe.geometry)


def load_run(run: RunFolder, overrides: Sequence[str] = (), *, device: torch.device) -> TrainedRun:
    """Load the model of a run from its state, with the averaged weights where the recipe keeps some.

    `overrides` are `KEY=VALUE` on the run's recipe, for images that it has to see otherwise (`data.scale`).

    Raises:
        UsageError: no run with a state, a damaged one, or a base that cannot be had.
    """
    if not run.has_state:
        raise UsageError(f"'{run.path}' is no run folder with a state: expected one that a training wrote.")
    recipe = load_recipe(run.recipe, overrides)
    segmenter, regressor = recipe.loss.segmentation > 0, recipe.loss.density > 0
    counter = build_counter(
        recipe.model, recipe.tuning, segmenter=segmenter, regressor=regressor, bins=recipe.loss.block_bins
    ).counter
    load_weights(run, counter)
    return TrainedRun(counter.eval().to(device), recipe, device)
