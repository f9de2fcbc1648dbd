"""The recipe: one typed, strict TOML file that describes a whole training."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic import NonNegativeInt as Count

from ..data.scenes import MIN_SIDE, MOST_HEADS
from ..errors import UsageError, did_you_mean
from .find import DEFAULT_BASE, DEFAULT_FORMAT, find_recipe, read_toml


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"expected an odd number, got {value}")
    return value


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"expected the smaller number first, got {list(value)}")
    return value


Share = Annotated[float, Field(ge=0, le=1)]
DataFormat = Literal["shanghaitech", "qnrf", "nwpu", "jhu", "ucf50", "points", "synthetic"]


class Section(BaseModel):
    """A table of a recipe: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Schema = TypeVar("Schema", bound=Section)


class DataRecipe(Section):
    """Which images, at which size, and how crops are drawn from them. Sizes are pixels."""

    format: DataFormat = Field(DEFAULT_FORMAT, description="layout on disk, or 'synthetic' for procedural scenes")
    root: str = Field("data", description="folder used when neither --data nor $SAM_MPROMPT_DATA is given")
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of train that becomes val where the dataset has no val split"
    )
    fold: Annotated[int, Field(ge=1, le=5)] = Field(1, description="test fold of ucf50")
    max_side: PositiveInt = Field(2048, description="larger images are shrunk to this longer side")
    min_side: PositiveInt = Field(416, description="smaller images are enlarged to this shorter side")
    scale: PositiveFloat = Field(1.0, description="factor on every image before the limits above")
    crop: PositiveInt = Field(448, description="side of the square training crop, after scaling")
    random_scale: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)] = Field(
        (1.0, 1.0), description="range of a crop's random zoom"
    )
    flip: Share = Field(0.5, description="probability of a horizontal flip")
    jitter: Share = Field(0.2, description="strength of the random brightness, contrast and saturation")
    annotation_noise: Share = Field(
        0.0, description="train's points and boxes, not its mask files, move by up to this share of a head"
    )
    cache: Literal["none", "images", "features"] = Field(
        "none", description="'images': decode and resize once; 'features': also run the encoder's frozen part once"
    )
    cache_root: str = Field("runs/cache", description="folder of what is cached")
    cache_gb: PositiveFloat = Field(20.0, description="largest cache that is accepted")


class SyntheticRecipe(Section):
    """Procedural scenes, used when data.format = "synthetic"."""

    train: PositiveInt = Field(256, description="scenes an epoch")
    fresh: bool = Field(True, description="draw new scenes in every epoch; false: the same ones, as photographs are")
    val: PositiveInt = Field(48, description="fixed scenes for validation")
    size: Annotated[int, Field(ge=MIN_SIDE)] = Field(448, description="side of a square scene in pixels")
    max_heads: Annotated[Count, Field(le=MOST_HEADS)] = Field(600, description="most heads in a scene")


class TargetRecipe(Section):
    """How points and boxes become density, pseudo mask and context mask."""

    # From 0.013 down the Gaussian of a head between two pixel centres vanishes in float64.
    sigma: Annotated[float, Field(ge=0.02)] = Field(4.0, description="standard deviation of a head's Gaussian, pixels")
    kernel_size: Annotated[PositiveInt, AfterValidator(_odd)] = Field(15, description="odd side of its support, pixels")
    pseudo_mask: Literal["boxes", "points", "files", "empty"] = Field("points", description="source of m_p in Eq. 1")
    masks: str = Field("", description="folder that 'sam-mprompt masks' wrote, for pseudo_mask = \"files\"")
    point_dilation: PositiveInt = Field(8, description="radius of a head in the mask from points, in resized pixels")
    context_k: PositiveInt = Field(3, description="K of the context mask in Eq. 2")

    @model_validator(mode="after")
    def _files_have_a_folder(self) -> Self:
        if (self.pseudo_mask == "files") != bool(self.masks):
            raise ValueError(
                f'pseudo_mask = "{self.pseudo_mask}", masks = "{self.masks}": "files", and only it, reads a '
                "folder that 'sam-mprompt masks' wrote"
            )
        return self


class ModelRecipe(Section):
    """The encoder and what stands on it."""

    encoder: Literal["sam", "timm"] = Field("sam", description="family of the encoder")
    base: str = Field(DEFAULT_BASE, description="checkpoint name or file; for timm a model name")
    pretrained: bool = Field(True, description="timm only: start from its published weights")
    levels: tuple[PositiveInt, ...] = Field((), description="timm only: strides of the levels used; empty: all from 4")
    stem_stride: Literal[1, 2] = Field(2, description="timm's HRNet only: 1 doubles the features' resolution")
    positions: Literal["resample", "slice"] = Field("resample", description="positions at sizes other than 1024")
    density_stride: Literal[1, 2, 4, 8, 16] = Field(4, description="pixels per side of a density cell")
    fuse_levels: bool = Field(False, description="add the outputs of the encoder's global-attention blocks")
    stem_channels: Count = Field(0, description="channels of the trainable high-resolution stem; 0 for none")
    stem_blocks: Count = Field(0, description="residual blocks at the stem's end")
    gate: Literal["none", "segmenter"] = Field("none", description="what gates the regressor's features")

    @model_validator(mode="after")
    def _blocks_have_a_stem(self) -> Self:
        if self.stem_blocks and not self.stem_channels:
            raise ValueError(f"stem_blocks = {self.stem_blocks} need a stem: set stem_channels too, such as 48")
        return self


class TuningRecipe(Section):
    """What of the encoder is trained."""

    method: str = Field("prompt", description="'prompt', 'side', 'none', 'full', or a peft method's name")
    bottleneck: PositiveInt = Field(192, description="width of a prompt module, or of the side network")
    placement: tuple[Literal["attention", "mlp"], ...] = Field(
        ("attention", "mlp"), min_length=1, description="sub-layers followed by a prompt module"
    )
    blocks: Literal["all"] | tuple[Count, ...] = Field("all", description="encoder blocks that are adapted")
    options: dict[str, str | int | float | bool | list[str] | list[int]] = Field(
        default_factory=dict, description="options of a peft method, by its own names"
    )

    @property
    def first_block(self) -> int | None:
        """The first block that is adapted, counted from 0, or None when the whole encoder stays as it is."""
        if self.method in ("side", "none"):
            return None
        return 0 if self.method == "full" or self.blocks == "all" else min(self.blocks, default=0)


class LossRecipe(Section):
    """Weights and switches of mutual prompt learning (Eq. 1 to 4)."""

    density: NonNegativeFloat = Field(1.0, description="l_d; 0 trains a segmenter alone, for pseudo masks")
    segmentation: NonNegativeFloat = Field(0.5, description="l_s; 0 builds no segmenter")
    context: NonNegativeFloat = Field(0.5, description="l_c; 0 switches the context prompt off")
    count: NonNegativeFloat = Field(0.0, description="weight of the absolute count error, not in the paper")
    offline: bool = Field(True, description="the offline prompt, Eq. 1")
    online: bool = Field(True, description="the online prompt, Eq. 2")
    kappa: Count = Field(50, description="epochs before the online prompt starts")
    threshold: NonNegativeFloat = Field(0.0, description="of B(.) on predictions, in heads per cell")
    # 1600 = 400 sqrt(16): the sum of squared errors over a batch of 16 crops of 400 pixels, as in the released code.
    density_scale: PositiveFloat = Field(1600.0, description="squared errors are summed over a square of this side")

    @model_validator(mode="after")
    def _context_needs_segmenter(self) -> Self:
        if self.context > 0 and self.segmentation == 0:
            raise ValueError(
                f"context = {self.context} needs the segmenter that segmentation = 0 removes; set one of the two"
            )
        return self

    @model_validator(mode="after")
    def _segmenter_alone_has_no_prompts(self) -> Self:
        if self.density == 0 and (self.segmentation == 0 or self.context > 0 or self.online or self.count > 0):
            raise ValueError(
                "density = 0 trains a segmenter alone, without a regressor to prompt or be prompted by: expected "
                "segmentation above 0, context = 0, count = 0 and online = false"
            )
        return self


class TrainRecipe(Section):
    """The optimisation."""

    init_from: str = Field("", description="adapter whose weights training starts from; empty: none")
    epochs: PositiveInt = 700
    batch_size: PositiveInt = Field(16, description="crops per optimizer step and process, before accumulation")
    gradient_accumulation: PositiveInt = Field(1, description="batches whose gradients are added before a step")
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    lr: PositiveFloat = 1e-4
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["step", "cosine", "constant"] = "step"
    step_epochs: PositiveInt = Field(300, description="epochs between drops of the step schedule")
    step_factor: Share = Field(0.4, description="factor of each drop")
    warmup_epochs: NonNegativeFloat = Field(0.0, description="epochs of linear warm-up")
    max_grad_norm: NonNegativeFloat = Field(0.0, description="largest gradient norm; 0 for no clipping")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="decay of the averaged weights; 0 for none")
    precision: Literal["no", "fp16", "bf16"] = Field("no", description="mixed precision, as accelerate names it")
    gradient_checkpointing: bool = Field(False, description="recompute the encoder's blocks: more time, less memory")
    compile: bool = Field(False, description="translate the encoder by torch.compile, once a crop size")
    flex_attention: bool = Field(False, description="with compile, on a GPU: fuse SAM's position bias into attention")
    validate_every: PositiveInt = Field(5, description="epochs between validations")
    preview_every: Count = Field(50, description="epochs between preview images; 0 for none")
    save_minutes: PositiveFloat = Field(5.0, description="minutes between saves of the resumable state")
    workers: Count = Field(2, description="processes that load crops")
    tensorboard: bool = Field(False, description="also log to TensorBoard in the run folder")
    seed: Count = 0

    @model_validator(mode="after")
    def _flex_attention_is_compiled(self) -> Self:
        if self.flex_attention and not self.compile:
            raise ValueError("flex_attention = true only pays with compile = true; set both or none")
        return self


class InferRecipe(Section):
    """How whole images are counted. Sizes are pixels."""

    tile: PositiveInt = Field(896, description="images beyond this side are cut into overlapping tiles of it")
    overlap: Count = Field(112, description="overlap of neighbouring tiles")
    batch_size: PositiveInt = Field(1, description="tiles per forward pass")

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap * 2 > self.tile:
            raise ValueError(f"overlap = {self.overlap} is more than half of tile = {self.tile}")
        return self


class Recipe(Section):
    """A whole training. `name` is the file's stem and names the run and its adapter."""

    name: str = Field("custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: DataRecipe = DataRecipe()
    synthetic: SyntheticRecipe = SyntheticRecipe()
    targets: TargetRecipe = TargetRecipe()
    model: ModelRecipe = ModelRecipe()
    tuning: TuningRecipe = TuningRecipe()
    loss: LossRecipe = LossRecipe()
    train: TrainRecipe = TrainRecipe()
    infer: InferRecipe = InferRecipe()

    @model_validator(mode="after")
    def _cached_features_fit(self) -> Self:
        data = self.data
        if self.tuning.method == "side" and self.model.fuse_levels:
            raise ValueError("tuning.method = 'side' and model.fuse_levels both use all depths; set one of the two")
        if data.cache == "images" and data.format == "synthetic":
            raise ValueError("data.cache = 'images' keeps decoded files, and procedural scenes are painted")
        if data.cache != "features":
            return self
        hurdles = {
            self._trained_inside(): self.tuning.first_block is not None
            and (self.tuning.first_block == 0 or self.model.encoder != "sam"),
            f"data.jitter = {data.jitter} changes images in every epoch (0 does not)": data.jitter > 0,
            f"data.random_scale = {list(data.random_scale)} does too ([1.0, 1.0] does not)": data.random_scale
            != (1.0, 1.0),
            "procedural scenes are painted anew in every epoch": data.format == "synthetic",
        }
        if found := [hurdle for hurdle, there in hurdles.items() if there]:
            raise ValueError(f"data.cache = 'features' computes what is frozen once, but {'; '.join(found)}")
        return self

    def _trained_inside(self) -> str:
        """Say what keeps the encoder's first part from being cached where its later part trains."""
        method, blocks = self.tuning.method, self.tuning.blocks
        if method == "full":
            return "tuning.method = 'full' trains all of the encoder"
        inside = f"tuning.method = '{method}' trains inside the encoder ('side' and 'none' do not), "
        if self.model.encoder != "sam":
            return f"{inside}and model.encoder = '{self.model.encoder}' cannot go on from a block as 'sam' can"
        given = "'all'" if blocks == "all" else list(blocks)
        return f"{inside}from block 0 on with tuning.blocks = {given} (name later ones only, such as [6, 7, 8])"

    def to_toml(self) -> str:
        """Return the fully resolved recipe as TOML; reading it back gives an equal recipe."""
        return tomli_w.dumps(self.model_dump(mode="json"))


def load_recipe(name_or_file: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or path and apply `KEY=VALUE` overrides such as `train.epochs=5`.

    Raises:
        UsageError: no such recipe, no TOML, or faulty values; the message lists every fault, one a line.
    """
    return read_recipe(find_recipe(str(name_or_file)), overrides, Recipe)


def read_recipe(path: Path, overrides: Sequence[str], schema: type[Schema]) -> Schema:
    """Read a recipe file of any schema that has a `name`, by default the file's stem. Raises as `load_recipe`."""
    table = _renamed(read_toml(path))
    for override in overrides:
        _apply(table, override)
    return _parse({"name": path.stem, **table}, schema, str(path))


def parse_recipe(table: dict[str, Any], *, source: str) -> Recipe:
    """Check a table of values. Raises UsageError that lists every fault with its key; `source` names the origin."""
    return _parse(_renamed(table), Recipe, source)


def _parse(table: dict[str, Any], schema: type[Schema], source: str) -> Schema:
    try:
        return schema.model_validate(_tuples(table))
    except ValidationError as error:
        faults = _faults(error, schema)
        count = f"{len(faults)} fault" + ("" if len(faults) == 1 else "s")
        raise UsageError(f"Recipe '{source}' has {count}:\n  " + "\n  ".join(faults)) from error


_RENAMED = {
    ("train", "accumulate"): "gradient_accumulation",
    ("train", "start"): "init_from",
    ("train", "clip_norm"): "max_grad_norm",
}


def _renamed(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table as it is written under the keys of version 0.1, under those of today."""
    for (section, old), new in _RENAMED.items():
        values = table.get(section)
        if isinstance(values, dict) and old in values:
            values.setdefault(new, values.pop(old))
    return table


def _tuples(value: Any) -> Any:
    """TOML only has lists where the strict schema wants tuples; `tuning.options` keeps its lists."""
    if isinstance(value, dict):
        return {key: item if key == "options" else _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set expects KEY=VALUE such as train.epochs=5, got '{override}'.")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {key}: '{part}' is a value, not a table.")
    table[parts[-1]] = value


def _faults(error: ValidationError, schema: type[BaseModel]) -> list[str]:
    """Turn pydantic's errors into one line a key: `key: expected A or B, got C`."""
    lines: list[str] = []
    expected: dict[str, tuple[list[str], object]] = {}
    for fault in error.errors():
        # Behind section and key pydantic names the member of a union that it tried; users did not write that.
        location = [str(part) for part in fault["loc"]][:2]
        key = ".".join(location)
        if fault["type"] == "extra_forbidden":
            names = _keys_at(schema, location[:-1])
            hint = did_you_mean(location[-1], names) or f" Known: {', '.join(names)}."
            lines.append(f"{key}: unknown key.{hint}")
        elif fault["type"] == "value_error":
            lines.append(f"{key}: {fault['ctx']['error']}")
        elif fault["msg"].startswith("Input should be"):
            wanted = fault["msg"].removeprefix("Input should be ")
            wishes, _ = expected.setdefault(key, ([], fault["input"]))
            if wanted not in wishes:
                wishes.append(wanted)
        else:
            expected.setdefault(key, ([fault["msg"]], fault["input"]))
    return [
        f"{key}: expected {' or '.join(wishes)}, got {value!r}" for key, (wishes, value) in expected.items()
    ] + lines


def _keys_at(schema: type[BaseModel], location: list[str]) -> list[str]:
    section = schema.model_fields[location[0]].annotation if location else schema
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
