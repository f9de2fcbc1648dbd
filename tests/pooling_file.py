"""An exported file whose density is known: `PoolingBackend` as an ONNX graph, made without torch."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from pooling_backend import AS_IS, MEAN, STD

from sam_mprompt.counting.any_counter import TrainedOn
from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.counting.scope import Range, Scope
from sam_mprompt.deploy.metadata import KEY, Metadata
from sam_mprompt.geometry import Geometry

STRIDE, DIVISOR = 4, 16


def pooling_metadata(**changes) -> Metadata:
    counted = np.arange(20, dtype=float) + 10
    known = {
        "name": "pooling", "method": "prompt", "base": "none", "base_fingerprint": "sha256:0",
        "adapter_fingerprint": "sha256:1", "dtype": "float32", "stride": STRIDE, "size_divisor": DIVISOR,
        "mean": MEAN, "std": STD, "geometry": Geometry(**AS_IS, tile=64, overlap=16),
        "calibration": Calibration.fit(counted + 1, counted), "scope": Scope({"side": Range(50.0, 60.0, 5.0, 7.0)}),
        "trained_on": TrainedOn(val_fraction=0.25), "written_by": "0.0.1",
    }  # fmt: skip
    return Metadata(**(known | changes))


def pooling_file(path: Path, text: str | None = None, *, heads: float = 0.01, **changes) -> Path:
    """Write the file; `text` in place of its metadata, "" for none, `heads` per pixel of mean absolute value 1."""
    metadata = pooling_metadata(**changes)
    side = metadata.tile
    values = {"axis": np.array([1], np.int64), "heads": np.array(heads * STRIDE**2, np.float32)}
    nodes = [
        helper.make_node("Abs", ["tiles"], ["absolute"]),
        helper.make_node("ReduceMean", ["absolute", "axis"], ["grey"], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cells"], kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2),
        helper.make_node("Mul", ["cells", "heads"], ["scaled"]),
        helper.make_node("Squeeze", ["scaled", "axis"], ["density"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pooling",
        [helper.make_tensor_value_info("tiles", TensorProto.FLOAT, ["b", 3, side or "h", side or "w"])],
        [helper.make_tensor_value_info("density", TensorProto.FLOAT, ["b", None, None])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if text != "":
        helper.set_model_props(model, {KEY: metadata.to_json() if text is None else text})
    onnx.save_model(model, str(path))
    return path
