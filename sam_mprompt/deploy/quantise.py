"""A model in int8: static quantisation per channel by ONNX Runtime, calibrated with images.

NNCF was tried beside it and is not better: of the demo adapter, calibrated with the same 16 procedural crowds, its
counts of 12 others were off by 3.4 to 3.7 % of all heads (with its settings for transformers and without, on ONNX and
on OpenVINO), ONNX Runtime's by 2.3 %; each about 1.2 times as fast as float32 on a CPU without integer products.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import FloatArray, Rgb
from ..counting.result import ImageLike
from ..counting.tiles import blend_tiles
from ..data.bounds import Reading
from ..data.image import as_rgb
from ..environment import instructions
from ..geometry import resize_image
from .fixed_tile import on_a_fixed_tile
from .metadata import Metadata

INT8 = ("Conv", "MatMul", "Gemm")
"""What is computed in int8. Everything else, attention's softmax and the normalisations among it, stays float32, but
for the ReLUs of networks without normalisation layers: convolutions take them in. Outside of them they would be passes
of their own, and an int8 convolution in front of a ReLU6 would keep its few bits for values that are cut off next."""

MOST_TILES = 32
"""That are looked at to learn the ranges of activations."""


def in_int8(model: Any, metadata: Metadata, images: Sequence[ImageLike], reading: Reading) -> Any:
    """Return an `onnx.ModelProto` whose convolutions and products with weights are int8.

    Products of activations with each other, attention's, stay float32, and so does the last convolution: its output is
    the density.

    Args:
        model: in float32.
        metadata: of it.
        images: paths or pixels that are like those to be counted.
        reading: how files are decoded.
    """
    onnx, quantisation = import_module("onnx"), import_module("onnxruntime.quantization")
    pre_process = import_module("onnxruntime.quantization.shape_inference").quant_pre_process
    weights = {entry.name for entry in model.graph.initializer}
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, made = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "made"))
        onnx.save_model(model, str(source))
        pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        weights |= {entry.name for entry in graph.initializer}
        quantisation.quantize_static(
            str(prepared),
            str(made),
            _Tiles(metadata, images, reading),
            quant_format=quantisation.QuantFormat.QDQ,
            activation_type=quantisation.QuantType.QUInt8,
            weight_type=quantisation.QuantType.QInt8,
            op_types_to_quantize=_computed(graph),
            nodes_to_exclude=_kept(graph, weights),
            per_channel=True,
            reduce_range=not _has_int8_products(),
        )
        return onnx.load(str(made))


def _computed(graph: Any) -> list[str]:
    """Return the kinds of nodes that become int8, ReLU6 (ONNX's Clip) among them.

    A ViT's few ReLUs would cost exactness and gain no time.
    """
    plain = all(node.op_type != "LayerNormalization" for node in graph.node)
    return [*INT8, "Relu", "Clip"] if plain else list(INT8)


def _kept(graph: Any, weights: set[str]) -> list[str]:
    """Return the nodes that stay float32: products without weights, and the last convolution."""
    products = [node.name for node in graph.node if node.op_type == "MatMul" and not weights & set(node.input)]
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    return [*products, *convolutions[-1:]]


def _has_int8_products() -> bool:
    """Whether this CPU multiplies int8 without saturating in 16 bits between (VNNI); others take weights of 7 bits."""
    return any("vnni" in name for name in instructions())


class _Tiles:
    """The tiles of images, one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, metadata: Metadata, images: Sequence[ImageLike], reading: Reading) -> None:
        self.metadata, self.images, self.reading = metadata, images, reading
        self.left = iter(self.tiles())

    def get_next(self) -> dict[str, FloatArray] | None:
        """Return the next input, None behind the last."""
        found = next(self.left, None)
        return None if found is None else {"tiles": found}

    def tiles(self) -> list[FloatArray]:
        """Return at most `MOST_TILES` tiles, spread over the images."""
        kept = [list(self.tiles_of(image)) for image in self.images]
        rounds = [tiles[at] for at in range(max(map(len, kept), default=0)) for tiles in kept if at < len(tiles)]
        return rounds[:MOST_TILES]

    def tiles_of(self, image: ImageLike) -> Iterator[FloatArray]:
        """Yield the tiles that an image is counted in, (1, 3, H, W) each."""
        known = self.metadata
        looked = _Looked(known.stride, known.size_divisor, known.mean, known.std, known.tile)
        pixels, _ = resize_image(as_rgb(image, self.reading), known.geometry)
        blend_tiles([pixels], lambda tiles: looked.density(tiles)[:, None], known.geometry, looked)
        yield from looked.tiles


@dataclass(frozen=True)
class _Looked:
    """A backend that finds nothing, and keeps what it is shown."""

    stride: int
    size_divisor: int
    mean: Rgb
    std: Rgb
    tile: int | None
    tiles: list[FloatArray] = field(default_factory=list)

    def density(self, tiles: FloatArray) -> FloatArray:
        return on_a_fixed_tile(self._look, tiles, self.tile, self.stride)

    def _look(self, tiles: FloatArray) -> FloatArray:
        self.tiles.append(tiles)
        return np.zeros((len(tiles), tiles.shape[2] // self.stride, tiles.shape[3] // self.stride), np.float32)
