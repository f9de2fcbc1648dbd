"""A model in float16, but for what overflows there: normalisation, attention's softmax and sums stay float32."""

from importlib import import_module
from typing import Any

IN_FLOAT32 = (
    "LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Reciprocal", "Div", "Resize", "Range",
    "Cast", "Where", "GlobalAveragePool",
)  # fmt: skip
"""Operators that compute in float32: a ViT's activations exceed 65,504 where they are squared or summed."""


def in_float16(model: Any) -> Any:
    """Return an `onnx.ModelProto` whose weights are float16; tiles and density stay float32."""
    from .onnx_files import needed

    needed("onnx", "onnxruntime")
    float16 = import_module("onnxruntime.transformers.float16")
    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, *IN_FLOAT32]
    return float16.convert_float_to_float16(
        model, keep_io_types=True, op_block_list=list(dict.fromkeys(blocked)), disable_shape_infer=False
    )
