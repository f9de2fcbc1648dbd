"""The recipe: one typed, strict TOML file that describes a whole training. Its tables are in the modules beside."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tomli_w
from pydantic import Field

from .data import DataFormat, DataRecipe, SyntheticRecipe, TargetRecipe
from .faults import Schema, parse
from .find import find_recipe, name_after, read_toml
from .legacy import upgraded
from .loss import BayesianLoss, DmLoss, Loss, MseLoss, ZipLoss
from .model import Model, SamModel, TimmModel
from .overrides import apply_overrides
from .section import Contradiction, Name, Section
from .training import InferRecipe, TrainRecipe
from .tuning import Frozen, Full, Peft, Prompts, Side, Tuning

if TYPE_CHECKING:
    from ..geometry import Geometry

__all__ = [
    "BayesianLoss",
    "DataFormat",
    "DataRecipe",
    "DmLoss",
    "Frozen",
    "Full",
    "InferRecipe",
    "Loss",
    "Model",
    "MseLoss",
    "Peft",
    "Prompts",
    "Recipe",
    "SamModel",
    "Section",
    "Side",
    "SyntheticRecipe",
    "TargetRecipe",
    "TimmModel",
    "TrainRecipe",
    "Tuning",
    "ZipLoss",
    "load_recipe",
    "parse_recipe",
    "read_recipe",
]


class Recipe(Section):
    """A whole training. `name` is the file's stem and names the run and its adapter."""

    name: Name = Field("custom", description="of the run and its adapter; by default the file's, without .toml")
    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = Field(
        "", description="whose figures of the paper stand beside ours in tables: 'sha', 'shb', 'qnrf', 'nwpu'; or empty"
    )
    data: DataRecipe = Field(DataRecipe(), description="which images, and how crops are drawn from them")
    synthetic: SyntheticRecipe = Field(
        SyntheticRecipe(), description='procedural scenes, with data.format = "synthetic"'
    )
    targets: TargetRecipe = Field(TargetRecipe(), description="how annotation becomes density and masks")
    model: Model = Field(SamModel(), description="the encoder and what stands on it")
    tuning: Tuning = Field(Prompts(), description="what of the encoder is trained")
    loss: Loss = Field(MseLoss(), description="the loss of the density, and mutual prompt learning")
    train: TrainRecipe = Field(TrainRecipe(), description="the optimisation")
    infer: InferRecipe = Field(InferRecipe(), description="how whole images are counted")

    @property
    def geometry(self) -> "Geometry":
        """The sizes at which images are trained on and counted."""
        from ..geometry import Geometry  # with numpy, which a recipe is read without

        data, infer = self.data, self.infer
        return Geometry(data.max_side, data.min_side, data.scale, infer.tile, infer.overlap, self.model.tile_step)

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what one table says against another."""
        if self.data.format != "synthetic" and self.synthetic != SyntheticRecipe():
            yield Contradiction(
                ("synthetic", "data.format"),
                f"expected no such table with data.format = '{self.data.format}', got procedural scenes",
            )
        if self.data.format == "synthetic" and self.train.folds:
            yield Contradiction(
                ("train.folds", "data.format"),
                f"expected 0 with procedural scenes, of which there is no end, got {self.train.folds}",
            )
        if self.loss.density == 0 and self.train.folds:
            yield Contradiction(
                ("train.folds", "loss.density"),
                f"expected 0 for a segmenter alone (loss.density = 0), which counts nothing, got {self.train.folds}",
            )
        if isinstance(self.tuning, Side) and isinstance(self.model, SamModel) and self.model.fuse_levels:
            yield Contradiction(
                ("model.fuse_levels", "tuning.method"),
                "tuning.method = 'side' and model.fuse_levels both use all depths: expected one of them, got both",
            )
        if self.data.cache == "features":
            for keys, hurdle in self._cache_hurdles():
                yield Contradiction(("data.cache", *keys), f"'features' computes what is frozen once, but {hurdle}")
        if self.train.shard_encoder:
            for key, hurdle in self._sharding_hurdles():
                yield Contradiction(("train.shard_encoder", key), f"expected false, as {hurdle}, got true")

    def _sharding_hurdles(self) -> Iterator[tuple[str, str]]:
        """Yield why the encoder's weights cannot be shared out, each with the key that says so."""
        if not isinstance(self.model, SamModel):
            yield "model.encoder", f"model.encoder = '{self.model.encoder}' is not shared out ('sam' is)"
        if not isinstance(self.tuning, Prompts | Side | Frozen):
            yield "tuning.method", f"tuning.method = '{self.tuning.method}' is not ('prompt', 'side' and 'none' are)"
        if self.train.compile:
            yield "train.compile", "blocks that train.compile translates are not shared out"
        if self.data.cache == "features":
            yield "data.cache", "data.cache = 'features' runs no whole encoder in a step"

    def _cache_hurdles(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield why the encoder's frozen part cannot be run once an image, each with the keys that say so."""
        data, first = self.data, self.tuning.first_block
        if first is not None and (first == 0 or isinstance(self.model, TimmModel)):
            yield ("tuning.method", "tuning.blocks", "model.encoder"), self._trained_inside()
        if data.jitter > 0:
            yield ("data.jitter",), f"data.jitter = {data.jitter} changes images in every epoch (0 does not)"
        for key in ("blur", "pixel_noise"):
            if (strength := getattr(data, key)) > 0:
                yield (f"data.{key}",), f"data.{key} = {strength} changes images in every epoch (0 does not)"
        if data.random_scale != (1.0, 1.0):
            zoom = list(data.random_scale)
            yield ("data.random_scale",), f"data.random_scale = {zoom} does too ([1.0, 1.0] does not)"
        if data.format == "synthetic":
            yield ("data.format",), "procedural scenes are painted anew in every epoch"

    def _trained_inside(self) -> str:
        """Say what keeps the encoder's first part from being cached where its later part trains."""
        tuning = self.tuning
        if not isinstance(tuning, Prompts | Peft):
            return f"tuning.method = '{tuning.method}' trains all of the encoder"
        inside = f"tuning.method = '{tuning.method}' trains inside the encoder ('side' and 'none' do not), "
        if isinstance(self.model, TimmModel):
            return f"{inside}and model.encoder = 'timm' cannot go on from a block as 'sam' can"
        given = "'all'" if tuning.blocks == "all" else list(tuning.blocks)
        return f"{inside}from block 0 on with tuning.blocks = {given} (name later ones only, such as [6, 7, 8])"

    def to_toml(self) -> str:
        """Return the fully resolved recipe as TOML; reading it back gives an equal recipe."""
        unread = {"synthetic"} if self.data.format != "synthetic" else set()
        return tomli_w.dumps(self.model_dump(mode="json", exclude=unread))


def load_recipe(name_or_file: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or path and apply `KEY=VALUE` overrides such as `train.epochs=5`.

    Raises:
        UsageError: no such recipe, no TOML, or faulty values; the message lists every fault, one a line.
    """
    return read_recipe(find_recipe(str(name_or_file)), overrides, Recipe)


def read_recipe(path: Path, overrides: Sequence[str], schema: type[Schema]) -> Schema:
    """Read a recipe of any schema that has a `name`, by default the file's (`name_after`). Raises as `load_recipe`."""
    table = upgraded(read_toml(path), schema, str(path))
    apply_overrides(table, overrides, schema)
    return parse({"name": name_after(path), **table}, schema, str(path))


def parse_recipe(table: dict[str, Any], *, source: str) -> Recipe:
    """Check a table of values. Raises UsageError that lists every fault with its key; `source` names the origin."""
    return parse(upgraded(table, Recipe, source), Recipe, source)
