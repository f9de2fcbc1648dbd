import re

import pytest

from benchmarks.speed import deployed
from benchmarks.speed.deployed import measure
from benchmarks.speed.pairs import Result, Spread


@pytest.mark.slow
def test_a_file_stands_against_eager_pytorch_with_its_counts_memory_and_start():
    rows = measure(["shb-scratch, random"], dtypes=("float32",), compiled=False, scenes=1, rounds=1)
    assert [row.what for row in rows] == [
        f"{runtime} float32, shb-scratch, random, 448 px" for runtime in ("ONNX Runtime", "OpenVINO")
    ]
    for row in rows:
        differ = re.search(r"counts differ by ([\d.e-]+) % on 1 procedural crowds", row.note)
        assert differ is not None
        assert float(differ[1]) < 1  # a fixed tile is padded, which the network sees
        assert re.search(r"`count` of one image takes [\d.]+ s .* and \d+ MB, with the adapter's folder", row.note)
        assert row.ratio.median > 0


def test_a_models_rows_take_the_place_of_those_that_it_had(monkeypatch, tmp_path):
    before = [Result(f"OpenVINO, {name}, 448 px", "PyTorch eager", Spread.once(1.0)) for name in ("a", "b")]
    written = []
    monkeypatch.setattr(deployed, "read_row", lambda _: before)
    monkeypatch.setattr(deployed, "write_row", lambda name, rows: written.append((name, rows)))
    new = [Result("ONNX Runtime, a, 448 px", "PyTorch eager", Spread.once(2.0))]
    deployed.keep("a", new)
    assert written == [("deployed", [before[1], *new])]


def test_int8_files_have_an_aim_each_and_the_fastest_of_the_others_has_one_but_not_of_sam_base():
    ratios = {"a int8": 1.0, "b int8": 2.0, "a float32": 1.1, "a float16": 1.2, "compiled": 0.9}
    for model, fastest in (("sam-tiny, demo", 1.3), ("SAM-base, random", None)):
        rows = [Result(f"{way}, {model}, 448 px", "PyTorch eager", Spread.once(r)) for way, r in ratios.items()]
        assert [row.aim for row in deployed.with_aims(rows)] == [1.7, 1.7, None, fastest, None]
