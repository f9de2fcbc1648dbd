"""The tables that say how a recipe is optimised, and how what came of it counts."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ..sizes import overlap_fault
from .section import Contradiction, Epochs, LearningRate, PixelSide, Section, Seed, Share, Weight, Workers

BatchSize = Annotated[int, Field(ge=1, le=4096)]


class TrainRecipe(Section):
    """The optimisation."""

    init_from: str = Field("", description="adapter whose weights training starts from; empty: none")
    epochs: Epochs = Field(700, description="passes over the training images")
    batch_size: BatchSize = Field(16, description="crops per optimizer step and process, before accumulation")
    gradient_accumulation: BatchSize = Field(1, description="batches whose gradients are added before a step")
    optimizer: Literal["adam", "adamw", "muon"] = Field("adam", description="what turns gradients into steps")
    lr: LearningRate = Field(1e-4, description="learning rate after warm-up")
    weight_decay: Share = Field(0.0, description="decay of the weights per step, relative to lr")
    schedule: Literal["step", "cosine", "constant"] = Field("step", description="how the learning rate falls")
    step_epochs: Epochs = Field(300, description="epochs between drops of the step schedule")
    step_factor: Share = Field(0.4, description="factor of each drop")
    warmup_epochs: Annotated[float, Field(ge=0, le=100_000)] = Field(0.0, description="epochs of linear warm-up")
    max_grad_norm: Weight = Field(0.0, description="largest gradient norm; 0 for no clipping")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="decay of the averaged weights; 0 for none")
    precision: Literal["no", "fp16", "bf16"] = Field("no", description="mixed precision, as accelerate names it")
    gradient_checkpointing: bool = Field(False, description="recompute the encoder's blocks: more time, less memory")
    compile: bool = Field(False, description="translate the encoder by torch.compile, once a crop size")
    shard_encoder: bool = Field(
        False, description="share out the frozen weights of a SAM encoder between the processes: less memory, more time"
    )
    folds: Annotated[int, Field(ge=0, le=20)] = Field(
        0,
        description="K: train on all images where the dataset has no val split, and then hold out each K-th of them in "
        "turn to tell the error; 0: carve a val split",
    )
    fold_epochs: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0, description="epochs of a training that holds out a fold; 0: as many as epochs"
    )
    validate_every: Epochs = Field(5, description="epochs between validations")
    preview_every: Annotated[int, Field(ge=0, le=100_000)] = Field(
        50, description="epochs between preview images; 0 for none"
    )
    save_minutes: Annotated[float, Field(gt=0, le=100_000)] = Field(
        5.0, description="minutes between saves of the resumable state"
    )
    workers: Workers = Field(2, description="processes that load crops")
    tensorboard: bool = Field(False, description="also log to TensorBoard in the run folder")
    seed: Seed = Field(0, description="of everything random")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield folds that hold out nothing."""
        if self.folds == 1:
            yield Contradiction(("folds",), "expected 0 or at least 2, as one fold leaves nothing to train on, got 1")
        if self.fold_epochs and not self.folds:
            yield Contradiction(("fold_epochs", "folds"), f"expected 0 without folds, got {self.fold_epochs}")


class InferRecipe(Section):
    """How whole images are counted. Sizes are pixels."""

    tile: PixelSide = Field(896, description="images beyond this side are cut into overlapping tiles of at most it")
    overlap: Annotated[int, Field(ge=0)] = Field(112, description="overlap of neighbouring tiles, at most half of tile")
    batch_size: BatchSize = Field(1, description="tiles per forward pass")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield an overlap that the tile has no room for."""
        if fault := overlap_fault(self.tile, self.overlap):
            yield Contradiction(("overlap", "tile"), fault)
