"""The recipe of a bundled base: one typed TOML file that says which encoder is trained, on what, for how long."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import tomli_w
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from pydantic import NonNegativeInt as Count

from ..recipe.find import find_recipe
from ..recipe.schema import Section, read_recipe
from ..resources import bundled

_FOLDER = "pretrain"


class EncoderShape(Section):
    """The shape of the SAM encoder that is trained; the defaults are those of "tiny"."""

    embed_dim: PositiveInt = Field(192, description="channels of a token")
    depth: PositiveInt = Field(9, description="number of blocks")
    num_heads: PositiveInt = Field(3, description="attention heads; embed_dim is a multiple of it")
    global_attn_indexes: tuple[Count, ...] = Field((2, 5, 8), description="blocks that attend over the whole image")
    out_channels: PositiveInt = Field(256, description="channels of the features")
    window_size: PositiveInt = Field(14, description="side of a window in tokens of 16 pixels")
    grid: PositiveInt = Field(64, description="side of the absolute position table in tokens")
    span: PositiveInt = Field(
        28, description="tokens that the global blocks' relative positions reach; scenes of size 16 * span use all"
    )


class SceneRecipe(Section):
    """The procedural scenes of things (no crowds). Sizes are pixels."""

    size: PositiveInt = Field(448, description="side of a scene, a multiple of 16 * parts")
    parts: PositiveInt = Field(2, description="a scene is cut into parts * parts crops, unless it is seen whole")
    whole_every: Count = Field(4, description="every n-th step sees its scenes whole; 0 for never")
    val: PositiveInt = Field(24, description="fixed scenes for validation, of another seed")

    @model_validator(mode="after")
    def _cut_along_tokens(self) -> Self:
        if self.size % (16 * self.parts):
            raise ValueError(f"size = {self.size} is not a multiple of {16 * self.parts} (16 pixels * parts)")
        return self


class TaskRecipe(Section):
    """Promptable segmentation, SAM's task in small."""

    prompts: PositiveInt = Field(24, description="point prompts per crop or whole scene")
    embedding: PositiveInt = Field(32, description="channels that compare a pixel with a prompted one")
    masks: PositiveFloat = Field(1.0, description="weight of the prompted masks")
    maps: NonNegativeFloat = Field(1.0, description="weight of the dense maps: things, outlines, centres")
    offsets: NonNegativeFloat = Field(1.0, description="weight of where in its thing a cell lies")
    colours: NonNegativeFloat = Field(1.0, description="weight of the image itself at a quarter of its resolution")


class PretrainSteps(Section):
    """The optimisation: linear warm-up, cosine decay to zero at whichever of the two budgets ends first."""

    steps: PositiveInt = Field(20000, description="optimizer steps")
    minutes: NonNegativeFloat = Field(0.0, description="end after this time at the latest; 0 for no limit")
    scenes: PositiveInt = Field(2, description="scenes per step")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="of the blocks' matrices; AdamW for all else")
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.05
    warmup: NonNegativeFloat = Field(0.03, le=0.5, description="share of the budget that warms up")
    max_grad_norm: NonNegativeFloat = Field(1.0, description="largest gradient norm; 0 for no clipping")
    ema: Annotated[float, Field(gt=0, lt=1)] = Field(0.998, description="decay of the averaged weights")
    log_every: PositiveInt = Field(100, description="steps per line of metrics.jsonl and save of the state")
    validate_every: PositiveInt = Field(500, description="steps between validations and exports")
    workers: Count = Field(1, description="processes that paint scenes")
    seed: Count = 0


class PretrainRecipe(Section):
    """A whole pre-training. `name` is the file's stem and names the run and its checkpoint."""

    name: str = Field("custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    encoder: EncoderShape = EncoderShape()
    scenes: SceneRecipe = SceneRecipe()
    task: TaskRecipe = TaskRecipe()
    train: PretrainSteps = PretrainSteps()

    def to_toml(self) -> str:
        """Return the fully resolved recipe as TOML; reading it back gives an equal recipe."""
        return tomli_w.dumps(self.model_dump(mode="json"))


def load_pretrain_recipe(name_or_file: str | Path, overrides: Sequence[str] = ()) -> PretrainRecipe:
    """Read a recipe of recipes/pretrain by name ("sam-tiny"), or a file, and apply `KEY=VALUE` overrides.

    Raises:
        UsageError: no such recipe, no TOML, or faulty values; the message lists every fault, one a line.
    """
    folders = (Path("recipes") / _FOLDER, bundled("recipes") / _FOLDER)
    return read_recipe(find_recipe(str(name_or_file), folders), overrides, PretrainRecipe)
