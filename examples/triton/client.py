"""Counts people with a network that a Triton server runs: python client.py FILE.onnx IMAGE... [--url URL]

    mkdir -p models/crowd/1 && cp demo.onnx models/crowd/1/model.onnx
    docker run --rm -p 8000:8000 -v "$PWD/models:/models" nvcr.io/nvidia/tritonserver:25.06-py3 \
        tritonserver --model-repository=/models
    python client.py demo.onnx street.jpg

Of the exported file only the metadata are used here: sizes, colours, tiles, error bars. Tiles go to the server and
densities come back, by the protocol that Triton shares with KServe, version 2, with binary tensors. What lies between
an image and its tiles, and between densities and a count, is sam-mprompt's own code, so counts are those of `count`.
"""

import argparse
import json
import urllib.request
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam_mprompt import load
from sam_mprompt.deploy.exported import ExportedCounter
from sam_mprompt.deploy.fixed_tile import on_a_fixed_tile
from sam_mprompt.deploy.metadata import Metadata
from sam_mprompt.errors import RunError

_LENGTH = "Inference-Header-Content-Length"


class TritonBackend:
    """A network behind an address: what counting calls with tiles.

    Args:
        url: of the server, such as http://127.0.0.1:8000.
        model: its name in the model repository.
        metadata: of the file that lies there.
        timeout: seconds for an answer.
    """

    device = "triton"

    def __init__(self, url: str, model: str, metadata: Metadata, *, timeout: float = 30.0) -> None:
        self.url, self.metadata, self.timeout = f"{url.rstrip('/')}/v2/models/{model}/infer", metadata, timeout
        self.stride, self.size_divisor, self.mean, self.std = (
            metadata.stride, metadata.size_divisor, metadata.mean, metadata.std
        )  # fmt: skip

    def density(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return heads per cell (B, h, w) of normalised tiles (B, 3, H, W). Raises RunError where the server fails."""
        return on_a_fixed_tile(self._run, tiles, self.metadata.tile, self.stride)

    def _run(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        content = np.ascontiguousarray(tiles, "<f4").tobytes()
        tensor = {"name": "tiles", "datatype": "FP32", "shape": list(tiles.shape)}
        asked = {
            "inputs": [tensor | {"parameters": {"binary_data_size": len(content)}}],
            "outputs": [{"name": "density", "parameters": {"binary_data": True}}],
        }
        header = json.dumps(asked).encode()
        request = urllib.request.Request(self.url, header + content, {_LENGTH: str(len(header))})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                length, body = int(answer.headers[_LENGTH]), answer.read()
        except OSError as error:  # refused, timed out, or a status that is none of success
            raise RunError(f"The server at {self.url} did not count: {error}.") from error
        [output] = json.loads(body[:length])["outputs"]
        return np.frombuffer(body[length:], "<f4").reshape(output["shape"])


def counter_of(file: Path, url: str, model: str = "crowd") -> ExportedCounter:
    """Return a counter whose network is the server's."""
    local = load(file, device="cpu")
    assert isinstance(local, ExportedCounter)
    return ExportedCounter(file, TritonBackend(url, model, local.metadata))


def main() -> None:
    """Print the count of each image, and its interval where there is one."""
    parser = argparse.ArgumentParser(description="Count people with a network that a Triton server runs.")
    parser.add_argument("file", type=Path, help="the exported file that the server has")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="crowd")
    asked = parser.parse_args()
    for result in counter_of(asked.file, asked.url, asked.model).count_many(asked.images):
        print(f"{result.image}  {result.count:.1f}  {result.interval() or ''}".rstrip())


if __name__ == "__main__":
    main()
