import pytest

from benchmarks.speed import encoder
from benchmarks.speed.sam_encoders import LIBRARIES


def test_every_library_encodes_and_counts_the_same_multiply_adds(small):
    counted = {name: encoder.multiply_adds(encoder.prepared(name, small, 64, 1)) for name in LIBRARIES}
    assert counted["ours"] > 0
    assert counted["timm"] == pytest.approx(counted["segment_anything"], rel=0.01)


@pytest.mark.slow
def test_a_size_has_a_row_of_time_and_one_of_memory_for_every_other_library(small):
    rows = encoder.compare(small, 64, batch=1, rounds=1)
    assert [row.against for row in rows] == [name for name in LIBRARIES if name != "ours"] * 2
    assert {row.what.split(", ", 1)[1] for row in rows} == {"64 px, batch 1"}
