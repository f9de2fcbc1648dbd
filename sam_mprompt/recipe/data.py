"""The tables that say which images a recipe trains on, and what becomes of their annotation."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..sizes import sides_fault
from .columns import checked_columns
from .find import DEFAULT_FORMAT
from .licences import licence_or_none
from .limits import MIN_SIDE, MOST_HEADS
from .section import Contradiction, PixelSide, Section, Share


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"expected an odd number, got {value}")
    return value


Zoom = Annotated[float, Field(ge=0.1, le=10)]


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"expected the smaller number first, got {list(value)}")
    return value


DataFormat = Literal[
    "shanghaitech", "qnrf", "nwpu", "jhu", "ucf50", "points", "synthetic",
    "labelme", "cvat", "label-studio", "via", "via3", "via-csv", "roboflow", "coco", "yolo", "voc",
    "geojson", "supervisely", "cell-counter", "dotdotgoose", "imagej-roi", "matlab", "imagej", "csv", "json", "txt",
]  # fmt: skip


class DataRecipe(Section):
    """Which images, at which size, and how crops are drawn from them. Sizes are pixels."""

    format: DataFormat = Field(DEFAULT_FORMAT, description="layout on disk, or 'synthetic' for procedural scenes")
    root: str = Field(
        "data",
        description="folder of the dataset where none is given; data/NAME is also looked for in $SAM_MPROMPT_DATA",
    )
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of train that becomes val where the dataset has no val split"
    )
    fold: Annotated[int, Field(ge=1, le=5)] = Field(
        1, description="ucf50 only: which of its five folds is the test split"
    )
    label: str = Field(
        "", description="points only: the label whose marks are heads, where there are several; empty: as it is called"
    )
    columns: Annotated[str, AfterValidator(checked_columns)] = Field(
        "",
        description="which columns of a table of heads are which, where they have other names: 'x=cx,y=cy,image=photo'",
    )
    licence: Annotated[str, AfterValidator(licence_or_none)] = Field(
        "", description="licence of the images, as the Hub calls it ('cc-by-4.0'): it goes into the adapter's card"
    )
    max_side: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        2048, description="larger images are shrunk to this longer side"
    )
    min_side: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        416, description="smaller images are enlarged to this shorter side"
    )
    scale: Annotated[float, Field(ge=0.01, le=100)] = Field(
        1.0, description="factor on every image before the limits above"
    )
    stretch: bool = Field(
        False, description="scale each 16-bit image from the bits that it uses, for cameras of 10, 12 or 14 bits"
    )
    crop: PixelSide = Field(400, description="side of the square training crop, after scaling")
    random_scale: Annotated[tuple[Zoom, Zoom], AfterValidator(_ascending)] = Field(
        (1.0, 1.0), description="range of a crop's random zoom"
    )
    flip: Share = Field(0.5, description="probability of a horizontal flip")
    jitter: Share = Field(0.2, description="strength of the random brightness, contrast and saturation")
    blur: Annotated[float, Field(ge=0, le=20)] = Field(
        0.0, description="largest standard deviation of a crop's random blur, pixels; 0 for none"
    )
    pixel_noise: Share = Field(0.0, description="largest share of a crop's pixels that turn black or white at random")
    annotation_noise: Share = Field(
        0.0, description="train's points and boxes, not its mask files, move by up to this share of a head"
    )
    cache: Literal["none", "images", "features"] = Field(
        "none", description="'images': decode and resize once; 'features': also run the encoder's frozen part once"
    )
    cache_root: str = Field("runs/cache", description="folder of what is cached")
    cache_gb: Annotated[float, Field(gt=0, le=1e6)] = Field(20.0, description="largest cache that is accepted")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield limits that exclude each other, a fold, a label or files where there are none."""
        if fault := sides_fault(self.min_side, self.max_side):
            yield Contradiction(("min_side", "max_side"), fault)
        if self.fold != 1 and self.format != "ucf50":
            yield Contradiction(
                ("fold", "format"),
                f"expected 1 with format = '{self.format}' (only 'ucf50' has folds), got {self.fold}",
            )
        if self.label and self.format == "synthetic":
            yield Contradiction(("label", "format"), f"expected none of procedural scenes, got '{self.label}'")
        if self.cache == "images" and self.format == "synthetic":
            yield Contradiction(
                ("cache", "format"), "expected 'none' as procedural scenes are painted, not decoded, got 'images'"
            )


class SyntheticRecipe(Section):
    """Procedural scenes, used when data.format = "synthetic"."""

    train: Annotated[int, Field(ge=1, le=1_000_000)] = Field(256, description="scenes an epoch")
    fresh: bool = Field(True, description="draw new scenes in every epoch; false: the same ones, as photographs are")
    val: Annotated[int, Field(ge=1, le=100_000)] = Field(48, description="fixed scenes for validation")
    size: Annotated[int, Field(ge=MIN_SIDE, le=4096)] = Field(448, description="side of a square scene in pixels")
    max_heads: Annotated[int, Field(ge=0, le=MOST_HEADS)] = Field(600, description="most heads in a scene")


class TargetRecipe(Section):
    """How points and boxes become density, pseudo mask and context mask."""

    # From 0.013 down the Gaussian of a head between two pixel centres vanishes in float64.
    sigma: Annotated[float, Field(ge=0.02, le=100)] = Field(
        4.0, description="standard deviation of a head's Gaussian, pixels"
    )
    kernel_size: Annotated[int, Field(ge=1, le=127), AfterValidator(_odd)] = Field(
        15, description="odd side of its support, pixels"
    )
    pseudo_mask: Literal["boxes", "points", "files", "empty"] = Field("points", description="source of m_p in Eq. 1")
    masks: str = Field("", description='folder of masks that were made beforehand, for pseudo_mask = "files"')
    point_dilation: Annotated[int, Field(ge=1, le=1024)] = Field(
        8, description="radius of a head in the mask from points, in resized pixels"
    )
    context_k: Annotated[int, Field(ge=1, le=64)] = Field(3, description="K of the context mask in Eq. 2")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield a folder of masks that nothing reads, or none where one is read."""
        if self.pseudo_mask == "files" and not self.masks:
            yield Contradiction(
                ("masks", "pseudo_mask"), "expected the folder of the masks that pseudo_mask = 'files' reads, got none"
            )
        if self.masks and self.pseudo_mask != "files":
            yield Contradiction(
                ("masks", "pseudo_mask"),
                f"expected no folder, which only pseudo_mask = 'files' reads, got '{self.masks}' with "
                f"pseudo_mask = '{self.pseudo_mask}'",
            )
