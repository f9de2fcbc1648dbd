"""The table of the loss: one class a loss of the density, told apart by `kind`, with mutual prompts around each."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from .section import Contradiction, Section, Weight, default_tag

SquareSide = Annotated[float, Field(gt=0, le=1e6)]


class MutualPrompts(Section):
    """What all kinds have: weights and switches of mutual prompt learning (Eq. 1 to 4)."""

    kind: str
    density: Weight = Field(1.0, description="l_d; 0 trains a segmenter alone, for pseudo masks")
    segmentation: Weight = Field(0.5, description="l_s; 0 builds no segmenter")
    context: Weight = Field(0.5, description="l_c; 0 switches the context prompt off")
    context_by: Literal["segmenter", "target"] = Field(
        "segmenter", description="the mask that Eq. 3 looks into: the segmenter's, or the one that it learns from"
    )
    offline: bool = Field(True, description="the offline prompt, Eq. 1")
    online: bool = Field(True, description="the online prompt, Eq. 2")
    kappa: Annotated[int, Field(ge=0, le=100_000)] = Field(50, description="epochs before the online prompt starts")
    threshold: Weight = Field(0.0, description="of B(.), 'somebody is here', in heads per cell")

    @property
    def block_bins(self) -> int:
        """Bins of the distribution that the counter predicts for each cell; 0 where it predicts a density alone."""
        return 0

    @property
    def reads_points(self) -> bool:
        """Whether it compares with the heads themselves, and not with the density that kernels make of them."""
        return True

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield parts that need a segmenter or a regressor where there is none."""
        count = float(getattr(self, "count", 0.0))
        if self.density == 0 and self.kind != "mse":
            yield Contradiction(
                ("kind", "density"), f"expected 'mse' for a segmenter alone (density = 0), got '{self.kind}'"
            )
        elif self.density == 0:
            alone = {"context": self.context > 0, "count": count > 0, "online": self.online}
            extra = [name for name, there in alone.items() if there]
            if extra or self.segmentation == 0:
                yield Contradiction(
                    ("density", "segmentation", "context", "count", "online"),
                    "density = 0 trains a segmenter alone, without a regressor to prompt or be prompted by: expected "
                    "segmentation above 0, context = 0, count = 0 and online = false, got "
                    f"{' and '.join(extra) or 'segmentation = 0'}{' on' if extra else ''}",
                )
        elif self.context > 0 and self.segmentation == 0:
            yield Contradiction(
                ("context", "segmentation"),
                f"expected 0 without the segmenter, which segmentation = 0 removes, got {self.context}",
            )


class MseLoss(MutualPrompts):
    """The squared error of the density, as in the paper."""

    kind: Literal["mse"] = Field("mse", description="loss of the density: 'mse'")
    count: Weight = Field(0.0, description="weight of the absolute count error, not in the paper")
    # 1600 = 400 sqrt(16): the sum of squared errors over a batch of 16 crops of 400 pixels, as in the released code.
    density_scale: SquareSide = Field(1600.0, description="squared errors are summed over a square of this side")

    @property
    def reads_points(self) -> bool:
        """It compares with Gaussians."""
        return False


class ZipLoss(MutualPrompts):
    """Zero-inflated Poisson: each cell is a block whose count is a random number."""

    kind: Literal["zip"] = Field(description="loss of the density: 'zip'")
    bins: Annotated[int, Field(ge=2, le=64)] = Field(
        16, description="bins of a block's count: 1 to 6, then ever wider; the last has no end"
    )
    bin_weight: Weight = Field(1.0, description="weight of the cross-entropy of the bins, beside the likelihood's 1")
    count: Weight = Field(
        1.0, description="weight of the absolute count errors of a crop and of squares of 1, 2 and 4 blocks"
    )
    # An expected count is never zero: at 0 every block would be one where somebody is.
    threshold: Weight = Field(0.1, description="of B(.), 'somebody is here', in heads per block")
    density_scale: SquareSide = Field(400.0, description="terms are summed over a square of this side")

    @property
    def block_bins(self) -> int:
        """Bins of the distribution that the counter predicts for each cell."""
        return self.bins


class DmLoss(MutualPrompts):
    """DM-Count: the count, optimal transport and total variation."""

    kind: Literal["dm"] = Field(description="loss of the density: 'dm'")
    transport: Weight = Field(0.1, description="weight of the transport onto the heads, at a square distance in pixels")
    variation: Weight = Field(0.01, description="weight of the total variation")
    epsilon: Annotated[float, Field(ge=0.01, le=1e6)] = Field(
        10.0, description="weight of the entropy in transport, in square pixels"
    )
    # 100 in its paper, from the small epsilon on; ours lowers epsilon and needs a fifth of them.
    rounds: Annotated[int, Field(ge=1, le=10_000)] = Field(20, description="rounds of Sinkhorn's algorithm")
    density_scale: SquareSide = Field(400.0, description="terms are summed over a square of this side")


class BayesianLoss(MutualPrompts):
    """Bayesian loss: what each head can expect of the density."""

    kind: Literal["bayesian"] = Field(description="loss of the density: 'bayesian'")
    sigma: Annotated[float, Field(ge=0.1, le=1000)] = Field(
        8.0, description="standard deviation of a head's Gaussian in the posterior, pixels"
    )
    background: Annotated[float, Field(gt=0, le=1)] = Field(
        0.15, description="d: how far the background's point is from the nearest head, as a share of the crop's side"
    )
    count: Weight = Field(0.0, description="weight of the absolute count error, not in its paper")
    density_scale: SquareSide = Field(400.0, description="terms are summed over a square of this side")


Loss = Annotated[MseLoss | ZipLoss | DmLoss | BayesianLoss, Field(discriminator="kind"), default_tag("kind", "mse")]
