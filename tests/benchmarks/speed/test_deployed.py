import re

import pytest

from benchmarks.speed.deployed import measure


@pytest.mark.slow
def test_a_file_stands_against_eager_pytorch_with_its_counts_memory_and_start():
    [row] = measure(["shb-scratch, random"], dtypes=("float32",), compiled=False, scenes=1, rounds=1)
    assert row.what == "ONNX Runtime float32, shb-scratch, random, 448 px"
    differ = re.search(r"counts differ by ([\d.]+) % on 1 procedural crowds", row.note)
    assert differ is not None
    assert float(differ[1]) < 1  # a fixed tile is padded, which the network sees
    assert "`count` of one image" in row.note
    assert row.ratio.median > 0
