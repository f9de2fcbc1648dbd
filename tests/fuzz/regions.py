"""Files of regions: GeoJSON and tables, changed in structure or damaged byte by byte, counted in and drawn."""

from pathlib import Path
from typing import Any

from .attempt import Attempt
from .dice import Dice
from .worker import Finding

IMPORTS = ("sam_mprompt.counting.region_files", "sam_mprompt.counting.result")

_SIZE = (48, 64)
_OUTLINE = [[2, 3], [40.5, 3], [38, 44], [2, 40], [2, 3]]
_HOLE = [[10, 10], [20, 10], [20, 20], [10, 10]]
_ZONE = [[30, 20], [70, 20], [70, 50], [30, 50], [30, 20]]
TABLE = "name,x,y,ignore,area_m2\na,2,3,,12.5\na,40.5,3,,\na,38,44,,\nb,30,20,yes,\nb,70,20,,\nb,70,50,,\n"


def geojson() -> dict[str, Any]:
    shapes = [("Polygon", [_OUTLINE, _HOLE]), ("MultiPolygon", [[_ZONE], [_OUTLINE]])]
    properties = [{"name": "a", "area_m2": 12.5, "image": "a.png"}, {"name": "b", "ignore": True}]
    features = [
        {"type": "Feature", "properties": own, "geometry": {"type": kind, "coordinates": coordinates}}
        for own, (kind, coordinates) in zip(properties, shapes, strict=True)
    ]
    return {"type": "FeatureCollection", "width": 128, "height": 96, "features": features}


def prepare(folder: Path) -> None:
    """Nothing."""


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make a file and count in its regions."""
    path = folder / dice.pick(("r.csv", "r.geojson", "r.json"))
    data = dice.lines(TABLE) if dice.chance(0.4) else dice.json(geojson())
    path.write_bytes(data)
    return Attempt(f"{len(data)} bytes: {data[:160]!a}", lambda: count_in(path))


def count_in(path: Path) -> None:
    import numpy as np

    from sam_mprompt.counting.region_files import read_regions
    from sam_mprompt.counting.result import CountResult

    regions = read_regions(path)
    density = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    pixels = np.zeros((*_SIZE, 3), np.uint8)
    result = CountResult(density, None, _SIZE, (8.0, 8.0), Path("a.png"), _pixels=pixels)
    counts = result.regions(regions)
    together = sum(region.count for region in counts.regions) + counts.elsewhere + counts.ignored
    if abs(together - counts.counted_twice - result.count) > 1e-6:
        raise Finding(f"parts add up to {together}, less {counts.counted_twice}, of {result.count}")
    result.overlay(regions=regions)
