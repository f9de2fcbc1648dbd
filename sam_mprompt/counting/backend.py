"""What counting needs of a network, whatever runs it. Free of torch, as is all that counts with a backend."""

from typing import Protocol

from ..arrays import FloatArray, Rgb


class DensityBackend(Protocol):
    """A network that turns tiles into densities: PyTorch (`TorchBackend`) or anything else may stand behind it."""

    @property
    def stride(self) -> int:
        """Pixels per side of a density cell; divides `size_divisor`."""

    @property
    def size_divisor(self) -> int:
        """The sides of tiles must be multiples of this."""

    @property
    def mean(self) -> Rgb:
        """What is subtracted from pixels in [0, 1]."""

    @property
    def std(self) -> Rgb:
        """What they are divided by then."""

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return the heads per cell of tiles of one size.

        Args:
            tiles: float32 (B, 3, H, W), RGB, normalised by `mean` and `std` and zero where a tile is padded; H and W
                are multiples of `size_divisor`.

        Returns:
            float32 (B, H / stride, W / stride); its sum is heads.

        Raises:
            RunError: there is not enough memory.
        """


class MaskBackend(DensityBackend, Protocol):
    """A network whose segmenter was kept, so that one pass gives both maps."""

    def density_and_mask(self, tiles: FloatArray) -> FloatArray:
        """Return float32 (B, 2, H / stride, W / stride): the density, and logits that are above 0 inside heads."""
