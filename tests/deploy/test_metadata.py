import json

import numpy as np
import pytest
from pooling_file import pooling_metadata

from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.deploy.metadata import Metadata
from sam_mprompt.errors import UsageError


def test_everything_that_counting_needs_comes_back():
    written = pooling_metadata(tile=64, parity={"count": 1e-6})
    found = Metadata.from_json(written.to_json(), "a file")
    assert found.to_json() == written.to_json()
    assert (found.geometry, found.scope, found.trained_on) == (written.geometry, written.scope, written.trained_on)
    assert (found.mean, found.std, found.tile, found.stride) == (written.mean, written.std, 64, 4)
    np.testing.assert_array_equal(found.calibration.heads, written.calibration.heads)
    assert str(found.calibration.interval(12.0)) == str(written.calibration.interval(12.0))


def test_why_there_are_no_error_bars_comes_back():
    found = Metadata.from_json(pooling_metadata(calibration=Calibration(missing="nobody counted")).to_json(), "a file")
    assert found.calibration.why_not() == "nobody counted"


WRONG = {
    "format_version": (2, "format version 2"),
    "stride": (0, "stride"),
    "size_divisor": (6, "fit each other"),
    "tile": (65, "fit each other"),
    "dtype": ("float8", "dtype"),
    "mean": ([1, 2], "unpack"),
    "std": ([1, 1, 0], "std"),
    "geometry": ({"tile": 64}, "scale"),
    "scope": ({"side": {"least": 1}}, "missing"),
    "calibration": ({"heads": [1, 2], "counted": [1]}, "count for each"),
    "trained_on": ({"nobody": 1}, "nobody"),
    "name": (None, "name"),
}


@pytest.mark.parametrize("key", WRONG)
def test_metadata_of_strangers_are_read_strictly(key):
    value, message = WRONG[key]
    table = json.loads(pooling_metadata().to_json()) | {key: value}
    with pytest.raises(UsageError, match=message):
        Metadata.from_json(json.dumps(table), "a file")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_what_is_no_metadata_is_refused(text):
    with pytest.raises(UsageError, match="a file"):
        Metadata.from_json(text, "a file")


def test_a_missing_key_is_named():
    table = json.loads(pooling_metadata().to_json())
    del table["stride"]
    with pytest.raises(UsageError, match="stride"):
        Metadata.from_json(json.dumps(table), "a file")


GEOMETRY = json.loads(pooling_metadata(tile=64).to_json())["geometry"]


@pytest.mark.parametrize("name", [name for name in GEOMETRY if name != "tile_step"])
def test_a_geometry_without_one_of_its_values_is_refused_not_completed_by_a_default(name):
    kept = {other: value for other, value in GEOMETRY.items() if other != name}
    with pytest.raises(UsageError, match=name):
        Metadata.from_json(with_geometry(kept), "a file")


def test_a_file_of_before_tiles_were_made_smaller_counts_by_whole_ones():
    kept = {name: value for name, value in GEOMETRY.items() if name != "tile_step"}
    assert Metadata.from_json(with_geometry(kept), "a file").geometry.tile_step == 0


@pytest.mark.parametrize("changed", [{"tile": 32.5}, {"max_sides": 100}])
def test_a_geometry_of_broken_pixels_or_other_names_is_refused(changed):
    with pytest.raises(UsageError, match="whole numbers max_side, min_side, tile, overlap, tile_step and a scale"):
        Metadata.from_json(with_geometry(GEOMETRY | changed), "a file")


def test_an_endless_tile_is_refused():
    with pytest.raises(UsageError, match="tile"):
        Metadata.from_json(with_geometry(GEOMETRY | {"tile": float("inf")}), "a file")


def test_tiles_that_a_fixed_network_does_not_hold_are_refused():
    for tile in (48, 64):
        assert Metadata.from_json(with_geometry(GEOMETRY | {"tile": tile}), "a file").geometry.tile == tile
    with pytest.raises(UsageError, match="tiles of 65 px the network's 64 px do not hold"):
        Metadata.from_json(with_geometry(GEOMETRY | {"tile": 65}), "a file")


def with_geometry(geometry):
    return json.dumps(json.loads(pooling_metadata(tile=64).to_json()) | {"geometry": geometry})


def test_a_calibration_that_would_fill_the_memory_is_refused():
    many = {"heads": [1] * 1_000_001, "counted": [1] * 1_000_001, "missing": ""}
    table = json.loads(pooling_metadata().to_json()) | {"calibration": many}
    with pytest.raises(UsageError, match="a million images"):
        Metadata.from_json(json.dumps(table), "a file")
