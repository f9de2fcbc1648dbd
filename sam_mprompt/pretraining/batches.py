"""What a step of a pre-training sees: a batch of scenes, and crops of photographs beside them."""

from torch import Tensor
from torch.utils.data import Dataset

from .photographs import PhotographCrops
from .scenes import PromptedBatch, PromptedScenes


class StepBatches(Dataset[tuple[PromptedBatch, Tensor | None]]):
    """Batch `step` of both sequences; None for the crops where there are no photographs."""

    def __init__(self, scenes: PromptedScenes, photographs: PhotographCrops | None) -> None:
        self.scenes, self.photographs = scenes, photographs

    def __getitem__(self, step: int) -> tuple[PromptedBatch, Tensor | None]:
        return self.scenes[step], None if self.photographs is None else self.photographs[step]
