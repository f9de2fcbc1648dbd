"""What a crop's features have to do with those of the same pixels in a whole image, under each rule for positions.

    python -m benchmarks.accuracy.positions IMAGE_OR_FOLDER... --base sam_vit_b      # SAM's own weights, 448 in 1024 px
    python -m benchmarks.accuracy.positions IMAGE_OR_FOLDER...                       # the bundled base, 224 in 448 px

A training sees crops, a count larger tiles. The frozen encoder, without any training, gets an image of the size that
its global blocks were made for and the crop in its middle; of both the features of the crop's pixels are compared, by
the mean cosine over all cells and over the inner ones, two cells from the crop's border. The nearer to 1, the less a
counter has to bear between training and counting. Prints a table, with each rule's cosine to the first for the whole.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from benchmarks.pages import parser, table
from sam_mprompt.arrays import ByteImage
from sam_mprompt.data.image import IMAGE_SUFFIXES, read_image
from sam_mprompt.models.normalise import normalise
from sam_mprompt.models.sam_encoder import Positions, SamEncoder

BORDER = 2


def pictures(paths: Iterable[Path], side: int, most: int) -> Iterable[ByteImage]:
    """Yield the first images, shrunk or enlarged to cover a square of `side` pixels, and the middle of each."""
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    for file in files[:most]:
        image = read_image(file)
        height, width = image.shape[:2]
        scale = side / min(height, width)
        image = cv2.resize(image, (max(side, round(width * scale)), max(side, round(height * scale))))
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        yield image[top : top + side, left : left + side]


def features(encoder: SamEncoder, image: ByteImage) -> Tensor:
    """Return the features (C, h, w) of a uint8 RGB image (H, W, 3)."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.mean, encoder.std))
    with torch.inference_mode():
        found: Tensor = encoder(normalise(pixels, mean, std, None))[-1][0]
    return found


def compared(base: str, images: list[ByteImage], crop: int) -> list[list[str]]:
    """Return a row a rule: its name, both cosines of crop and whole, and that of the whole to the first rule's."""
    rows, first = [], []
    for rule in get_args(Positions):
        encoder = SamEncoder.from_checkpoint(base, positions=rule).eval()
        everywhere, inner, to_first = [], [], []
        for number, image in enumerate(images):
            whole = features(encoder, image)
            if rule == get_args(Positions)[0]:
                first.append(whole)
            top = (image.shape[0] - crop) // 2 // encoder.stride
            cells = slice(top, top + crop // encoder.stride)
            pixels = slice(top * encoder.stride, top * encoder.stride + crop)
            cosine = cosine_similarity(whole[:, cells, cells], features(encoder, image[pixels, pixels]), dim=0)
            everywhere.append(float(cosine.mean()))
            inner.append(float(cosine[BORDER:-BORDER, BORDER:-BORDER].mean()))
            to_first.append(float(cosine_similarity(whole, first[number], dim=0).mean()))
        rows.append([rule, *(f"{np.mean(values):.4f}" for values in (everywhere, inner, to_first))])
    return rows


def main() -> None:
    """Print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("images", type=Path, nargs="+", help="images, or folders of them")
    arguments.add_argument("--base", default="sam-tiny", help="checkpoint name or file")
    arguments.add_argument("--crop", type=int, default=0, help="pixels a side, by default near half the whole's")
    arguments.add_argument("--most", type=int, default=8, help="how many images are compared")
    options = arguments.parse_args()
    config = SamEncoder.from_checkpoint(options.base).config
    side = config.span * config.patch
    window = config.window_size * config.patch
    crop = options.crop or max(1, side // 2 // window) * window
    images = list(pictures(options.images, side, options.most))
    if not images:
        arguments.error("expected at least one image, found none")
    print(f"{len(images)} images, a crop of {crop} px in {side} px, base {options.base}\n")
    heads = ["model.positions", "crop and whole", "inner cells", "whole, to 'resample'"]
    print(table(heads, compared(options.base, images, crop)))


if __name__ == "__main__":
    main()
