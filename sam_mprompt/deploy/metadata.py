"""What an exported file says of itself beside its network: all that counting with it needs. Free of torch and pydantic.

It is JSON in the file's own metadata, under `KEY`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..arrays import Rgb
from ..counting.any_counter import TrainedOn
from ..counting.intervals import UNCALIBRATED, Calibration
from ..counting.scope import Range, Scope
from ..errors import UsageError
from ..geometry import Geometry, round_up

KEY = "sam_mprompt"
FORMAT_VERSION = 1
DTYPES = ("float32", "bfloat16", "float16", "int8")
_MOST = 10**6
"""Held-out images, and names."""


@dataclass(frozen=True)
class Metadata:
    """All but the network.

    Attributes:
        name: of the adapter.
        method: how it was tuned: tuning.method of its recipe.
        base, base_fingerprint: the checkpoint under it, and the SHA-256 of that one's tensors.
        adapter_fingerprint: SHA-256 of the adapter's file of tensors.
        dtype: what the network computes in.
        stride, size_divisor, mean, std: as `DensityBackend` has them.
        geometry: how images are resized and cut.
        tile: side of the one size of tile that the network takes; None where sides are free.
        calibration, scope, trained_on: as a counter has them.
        parity: figures of the comparison with PyTorch that ended the export.
        written_by: version of sam-mprompt.
        format_version: of this layout.
    """

    name: str
    method: str
    base: str
    base_fingerprint: str
    adapter_fingerprint: str
    dtype: str
    stride: int
    size_divisor: int
    mean: Rgb
    std: Rgb
    geometry: Geometry
    tile: int | None = None
    calibration: Calibration = UNCALIBRATED
    scope: Scope = field(default_factory=Scope)
    trained_on: TrainedOn = field(default_factory=TrainedOn)
    parity: Mapping[str, float | int | str] = field(default_factory=dict)
    written_by: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Return it as text, the same for the same values."""
        known = self.calibration
        table = {entry.name: getattr(self, entry.name) for entry in fields(self)} | {
            "geometry": asdict(self.geometry),
            "calibration": {
                "heads": known.heads.tolist(), "counted": known.counted.tolist(), "missing": known.missing
            },
            "scope": {name: asdict(own) for name, own in self.scope.ranges.items()},
            "trained_on": asdict(self.trained_on),
            "parity": dict(self.parity),
        }  # fmt: skip
        return json.dumps(table, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, source: str) -> "Metadata":
        """Read what `to_json` wrote.

        Args:
            text: of a file that may be anybody's.
            source: what it stands in, for messages.

        Raises:
            UsageError: damaged, of another version, or with values that contradict each other.
        """
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{source} is damaged: its metadata is no JSON. Export it again.") from error
        version = table.get("format_version") if isinstance(table, dict) else None
        if version != FORMAT_VERSION:
            raise UsageError(
                f"{source} has format version {version!r}, this version of the package reads {FORMAT_VERSION}. "
                "Upgrade sam-mprompt, or export it again."
            )
        try:
            return cls._of(table)
        except UsageError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UsageError(f"{source} is damaged: its metadata lacks or garbles {error}. Export it again.") from error

    @classmethod
    def _of(cls, table: dict[str, Any]) -> "Metadata":
        stride, divisor = _whole(table, "stride"), _whole(table, "size_divisor")
        geometry = _geometry(table["geometry"])
        tile = None if table["tile"] is None else _whole(table, "tile")
        if divisor % stride or (tile is not None and tile % divisor):
            raise ValueError("stride, size_divisor and tile, which fit each other")
        if tile is not None and round_up(geometry.tile, divisor) > tile:
            raise ValueError(f"geometry, whose tiles of {geometry.tile} px the network's {tile} px do not hold")
        if table["dtype"] not in DTYPES:
            raise ValueError(f"dtype, one of {', '.join(DTYPES)}")
        return cls(
            name=_text(table, "name"),
            method=_text(table, "method"),
            base=_text(table, "base"),
            base_fingerprint=_text(table, "base_fingerprint"),
            adapter_fingerprint=_text(table, "adapter_fingerprint"),
            dtype=_text(table, "dtype"),
            written_by=_text(table, "written_by"),
            stride=stride,
            size_divisor=divisor,
            mean=_rgb(table, "mean"),
            std=_rgb(table, "std"),
            geometry=geometry,
            tile=tile,
            calibration=_calibration(table["calibration"]),
            scope=Scope({str(name): Range(**_floats(own)) for name, own in table["scope"].items()}),
            trained_on=TrainedOn(**table["trained_on"]),
            parity=dict(table["parity"]),
        )


def _geometry(table: dict[str, Any]) -> Geometry:
    """Return it as it was written, whole: a default in the place of a value that is missing would count otherwise.

    Files of before tiles were made smaller count by whole ones, as they did.
    """
    table = {"tile_step": 0} | table
    scale = _number(table["scale"], "scale")
    sides = {entry.name: _number(table[entry.name], entry.name) for entry in fields(Geometry) if entry.name != "scale"}
    if any(side != int(side) for side in sides.values()) or set(table) != {"scale", *sides}:
        raise ValueError(f"geometry, whole numbers {', '.join(sides)} and a scale")
    return Geometry(scale=float(scale), **{name: int(side) for name, side in sides.items()})


def _calibration(table: dict[str, Any]) -> Calibration:
    if not table["heads"]:
        return Calibration(missing=str(table["missing"]))
    if len(table["heads"]) > _MOST:
        raise ValueError("heads of at most a million images")
    return Calibration.fit(table["heads"], table["counted"])


def _whole(table: dict[str, Any], name: str) -> int:
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST:
        raise ValueError(f"{name}, a whole number")
    return value


def _number(value: Any, name: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}, a number")
    return value


def _text(table: dict[str, Any], name: str) -> str:
    if not isinstance(table[name], str):
        raise ValueError(f"{name}, a text")
    return table[name]


def _rgb(table: dict[str, Any], name: str) -> Rgb:
    red, green, blue = (float(_number(value, name)) for value in table[name])
    if name == "std" and min(red, green, blue) <= 0:
        raise ValueError("std, three numbers above 0")
    return red, green, blue


def _floats(table: dict[str, Any]) -> dict[str, float]:
    return {name: float(_number(value, name)) for name, value in table.items()}
