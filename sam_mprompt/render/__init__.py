"""Pictures of counts: heat maps over images, regions, training previews, masks and head locations.

Images are uint8 RGB (H, W, 3) throughout; no function changes its input.
"""

from .outlines import Outline, ascii_text, draw_regions
from .overlays import density_panels, draw_points, heat_layer, mask_difference, mask_overlay, overlay, preview
from .pixels import fit_within
from .saving import PICTURES, encoded_image, save_image
from .text import caption, side_by_side

__all__ = [
    "PICTURES",
    "Outline",
    "ascii_text",
    "caption",
    "density_panels",
    "draw_points",
    "draw_regions",
    "encoded_image",
    "fit_within",
    "heat_layer",
    "mask_difference",
    "mask_overlay",
    "overlay",
    "preview",
    "save_image",
    "side_by_side",
]
