"""The table of the encoder and what stands on it: one class a family of encoders, told apart by `encoder`."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .find import DEFAULT_BASE
from .section import Contradiction, Section, default_tag


class Decoding(Section):
    """What both families have: the density's resolution, the stem, the gate."""

    density_stride: Literal[1, 2, 4, 8, 16, 32] = Field(4, description="pixels per side of a density cell")
    stem_channels: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="channels of the trainable high-resolution stem; 0 for none"
    )
    stem_blocks: Annotated[int, Field(ge=0, le=64)] = Field(0, description="residual blocks at the stem's end")
    gate: Literal["none", "segmenter"] = Field("none", description="what gates the regressor's features")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield blocks of a stem that is not there."""
        if self.stem_blocks and not self.stem_channels:
            yield Contradiction(
                ("stem_blocks", "stem_channels"),
                f"expected 0 without a stem (stem_channels = 48 would make one), got {self.stem_blocks}",
            )


class SamModel(Decoding):
    """An encoder of the Segment-Anything family."""

    tile_step: ClassVar[int] = 224
    """Pixels of a window: blocks pad what does not fill whole ones, and heads were seen in such padding."""

    encoder: Literal["sam"] = Field("sam", description="family of the encoder: 'sam'")
    base: Annotated[str, Field(min_length=1)] = Field(DEFAULT_BASE, description="checkpoint name or file")
    positions: Literal["resample", "slice", "center"] = Field(
        "resample", description="tables of positions at sizes other than 1024: stretched, their top left, their middle"
    )
    fuse_levels: bool = Field(False, description="add the outputs of the encoder's global-attention blocks")


class TimmModel(Decoding):
    """Any backbone of timm that gives feature maps."""

    tile_step: ClassVar[int] = 32
    """Pixels of a cell of the coarsest level that backbones have."""

    encoder: Literal["timm"] = Field(description="family of the encoder: 'timm'")
    base: str = Field("", description="timm model or registered base; there is no default")
    pretrained: bool = Field(True, description="start from its published weights")
    weights: str = Field("", description="file of weights that takes the place of the published ones; empty: none")
    levels: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (), description="strides of the levels used; empty: all from 4"
    )
    stem_stride: Literal[1, 2] = Field(2, description="HRNet only: 1 doubles the features' resolution")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield a missing model name, a stem that cannot be changed, and what `Decoding` yields."""
        if not self.base:
            yield Contradiction(("base", "encoder"), "expected the name of a timm model, such as 'hrnet_w40', got none")
        if self.stem_stride != 2 and self.base and not self.base.startswith("hrnet"):
            yield Contradiction(
                ("stem_stride", "base"), f"expected 2, as only HRNet's stem can change, got 1 with base = '{self.base}'"
            )
        yield from super().contradictions()


Model = Annotated[SamModel | TimmModel, Field(discriminator="encoder"), default_tag("encoder", "sam")]
