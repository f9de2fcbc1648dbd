"""The recipe of a bundled base: one typed TOML file that says which encoder is trained, on what, for how long."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import Field

from ..recipe.find import find_recipe
from ..recipe.limits import MIN_SIDE
from ..recipe.schema import read_recipe
from ..recipe.section import Contradiction, LearningRate, Name, Section, Seed, Share, Weight, Workers
from ..resources import bundled

_FOLDER = "pretrain"

Tokens = Annotated[int, Field(ge=1, le=1024)]
Steps = Annotated[int, Field(ge=1, le=100_000_000)]


class EncoderShape(Section):
    """The shape of the SAM encoder that is trained; the defaults are those of "tiny"."""

    embed_dim: Annotated[int, Field(ge=1, le=8192)] = Field(192, description="channels of a token")
    depth: Annotated[int, Field(ge=1, le=256)] = Field(9, description="number of blocks")
    num_heads: Annotated[int, Field(ge=1, le=256)] = Field(
        3, description="attention heads; embed_dim is a multiple of it"
    )
    global_attn_indexes: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        (2, 5, 8), description="blocks that attend over the whole image"
    )
    out_channels: Annotated[int, Field(ge=1, le=8192)] = Field(256, description="channels of the features")
    window_size: Tokens = Field(14, description="side of a window in tokens of 16 pixels")
    grid: Tokens = Field(64, description="side of the absolute position table in tokens")
    span: Tokens = Field(
        28, description="tokens that the global blocks' relative positions reach; scenes of size 16 * span use all"
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield heads that do not share the channels evenly, and blocks that are not there."""
        if self.embed_dim % self.num_heads:
            yield Contradiction(
                ("embed_dim", "num_heads"), f"expected a multiple of num_heads = {self.num_heads}, got {self.embed_dim}"
            )
        if any(index >= self.depth for index in self.global_attn_indexes):
            yield Contradiction(
                ("global_attn_indexes", "depth"),
                f"expected blocks from 0 to {self.depth - 1}, got {list(self.global_attn_indexes)}",
            )


class SceneRecipe(Section):
    """The procedural scenes of things (no crowds). Sizes are pixels."""

    size: Annotated[int, Field(ge=MIN_SIDE, le=4096)] = Field(
        448, description="side of a scene, a multiple of 16 * parts"
    )
    parts: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="a scene is cut into parts * parts crops, unless it is seen whole"
    )
    whole_every: Annotated[int, Field(ge=0, le=100_000)] = Field(
        4, description="every n-th step sees its scenes whole; 0 for never"
    )
    val: Annotated[int, Field(ge=1, le=100_000)] = Field(24, description="fixed scenes for validation, of another seed")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield a size that cannot be cut along tokens."""
        if self.size % (16 * self.parts):
            yield Contradiction(
                ("size", "parts"), f"expected a multiple of {16 * self.parts} (16 pixels * parts), got {self.size}"
            )


class TaskRecipe(Section):
    """Promptable segmentation, SAM's task in small."""

    prompts: Annotated[int, Field(ge=1, le=4096)] = Field(24, description="point prompts per crop or whole scene")
    embedding: Annotated[int, Field(ge=1, le=4096)] = Field(
        32, description="channels that compare a pixel with a prompted one"
    )
    masks: Annotated[float, Field(gt=0, le=1e6)] = Field(1.0, description="weight of the prompted masks")
    maps: Weight = Field(1.0, description="weight of the dense maps: things, outlines, centres")
    offsets: Weight = Field(1.0, description="weight of where in its thing a cell lies")
    colours: Weight = Field(1.0, description="weight of the image itself at a quarter of its resolution")


class TeacherRecipe(Section):
    """A frozen network whose features the encoder learns to tell, beside its task. Without a base there is none."""

    base: str = Field("", description="registered base or timm model, such as 'efficientnet-lite0'; empty: no teacher")
    pretrained: bool = Field(True, description="with its published weights; false: random ones, to compare with")
    levels: tuple[Literal[4, 8, 16], ...] = Field((8, 16), description="strides of its levels that are told")
    weight: Weight = Field(1.0, description="weight of the squared error of its standardised features")
    photographs: str = Field(
        "",
        description="photographs that it is asked about beside the scenes: a folder, or 'packages' for those that "
        "scikit-image and scikit-learn carry; empty: the scenes alone",
    )
    crops: Annotated[int, Field(ge=1, le=4096)] = Field(8, description="augmented crops of photographs per step")
    crop: Annotated[int, Field(ge=MIN_SIDE, le=4096)] = Field(224, description="side of a crop in pixels")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield no levels, crops that are not whole tokens, and photographs that nobody is asked about."""
        if not self.levels:
            yield Contradiction(("levels",), "expected one of the strides 4, 8 and 16 at least, got none")
        if self.crop % 16:
            yield Contradiction(("crop",), f"expected a multiple of 16 pixels, got {self.crop}")
        if self.photographs and not self.base:
            yield Contradiction(
                ("photographs", "base"), f"expected none without a teacher (base = ''), got '{self.photographs}'"
            )


class PretrainSteps(Section):
    """The optimisation: linear warm-up, cosine decay to zero at whichever of the two budgets ends first."""

    init_from: str = Field(
        "", description="registered base or file whose weights the encoder starts from; empty: fresh ones"
    )
    steps: Steps = Field(20000, description="optimizer steps")
    minutes: Annotated[float, Field(ge=0, le=1e6)] = Field(
        0.0, description="end after this time at the latest; 0 for no limit"
    )
    scenes: Annotated[int, Field(ge=1, le=4096)] = Field(2, description="scenes per step")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="of the blocks' matrices; AdamW for all else")
    lr: LearningRate = Field(1e-3, description="learning rate after warm-up")
    weight_decay: Share = Field(0.05, description="decay of the weights per step, relative to lr")
    warmup: Annotated[float, Field(ge=0, le=0.5)] = Field(0.03, description="share of the budget that warms up")
    max_grad_norm: Weight = Field(1.0, description="largest gradient norm; 0 for no clipping")
    ema: Annotated[float, Field(gt=0, lt=1)] = Field(0.998, description="decay of the averaged weights")
    log_every: Steps = Field(100, description="steps per line of metrics.jsonl and save of the state")
    validate_every: Steps = Field(500, description="steps between validations and exports")
    workers: Workers = Field(1, description="processes that paint scenes")
    seed: Seed = Field(0, description="of everything random")


class PretrainRecipe(Section):
    """A whole pre-training. `name` is the file's stem and names the run and its checkpoint."""

    name: Name = Field("custom", description="of the run and its checkpoint; by default the file's, without .toml")
    encoder: EncoderShape = Field(EncoderShape(), description="the shape of the encoder")
    scenes: SceneRecipe = Field(SceneRecipe(), description="the procedural scenes of things")
    task: TaskRecipe = Field(TaskRecipe(), description="what is learnt on them")
    teacher: TeacherRecipe = Field(TeacherRecipe(), description="whose features are learned beside it")
    train: PretrainSteps = Field(PretrainSteps(), description="the optimisation")

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
