"""Exported files of strangers: an ONNX file or one of OpenVINO's with damaged bytes, or metadata that claim much."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from .attempt import Attempt
from .dice import Dice
from .worker import Finding

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where pooling_file lies; pytest has it there already

IMPORTS = ("sam_mprompt.deploy.load", "sam_mprompt.deploy.onnx_backend", "onnx", "pooling_file")

_TILES = (None, 64)


def prepare(folder: Path) -> None:
    """Write small files with free sides and a fixed one, of each kind that there is a package for."""
    from pooling_file import pooling_file

    for tile in _TILES:
        pooling_file(folder / f"{tile}.onnx", tile=tile)
        pooling_file(folder / f"{tile}.bare", "", tile=tile)
    if find_spec("openvino") is None:
        return
    import onnx

    from sam_mprompt.deploy.openvino_files import openvino_network

    for tile in _TILES:
        graph, weights = openvino_network(onnx.load(str(folder / f"{tile}.bare")), half=False)
        (folder / f"{tile}.xml").write_bytes(graph)
        (folder / f"{tile}.bin").write_bytes(weights)


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make a file whose metadata or bytes are changed, and count an image with it."""
    own = (shared / "None.xml").is_file() and dice.chance(0.4)
    path = folder / f"a{'.openvino' if own else '.onnx'}"
    what = (_openvino if own else _onnx)(dice, path, shared)
    if dice.chance(0.4):
        path.write_bytes(dice.damaged(path.read_bytes()))
        what += ", damaged"
    device = "openvino" if own or ((shared / "None.xml").is_file() and dice.chance(0.3)) else "cpu"
    return Attempt(f"{path.name} by {device}: {what}", lambda: count_with(path, device))


def _text(dice: Dice, tile: int | None) -> str:
    """Return metadata, changed or not."""
    from pooling_file import pooling_metadata

    whole = pooling_metadata(tile=tile).to_json()
    if dice.chance(0.3):
        return whole
    return dice.json(json.loads(whole)).decode("utf-8", "replace").replace("\0", "")


def _onnx(dice: Dice, path: Path, shared: Path) -> str:
    from pooling_file import pooling_file

    tile = dice.pick(_TILES)
    text = _text(dice, tile)
    pooling_file(path, text, tile=tile)
    return f"{text:.200}"


def _openvino(dice: Dice, path: Path, shared: Path) -> str:
    from sam_mprompt.deploy.openvino_archive import Archived, write_archive

    tile = dice.pick(_TILES)
    text = _text(dice, tile)
    graph, weights = ((shared / f"{tile}.{kind}").read_bytes() for kind in ("xml", "bin"))
    if dice.chance(0.3):
        graph = dice.damaged(graph)
    if dice.chance(0.2):
        weights = dice.damaged(weights)
    write_archive(Archived(graph, weights, text), path)
    return f"{text:.200}"


def count_with(path: Path, device: str) -> None:
    import numpy as np

    from sam_mprompt.deploy.exported import ExportedCounter
    from sam_mprompt.deploy.load import load

    counter = load(path, device=device)
    assert isinstance(counter, ExportedCounter)
    json.dumps(counter.facts())
    result = counter.count(np.full((40, 130, 3), 90, np.uint8))
    if not np.isfinite(result.count):
        raise Finding(f"the count is {result.count}")
    assert (result.interval() is None) == (result.why_no_interval() is not None)
