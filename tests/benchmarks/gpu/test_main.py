import json

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.setting import miniature
from benchmarks.speed.pairs import Result, Spread


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where records go."""
    monkeypatch.setattr(gpu, "FOLDER", tmp_path)
    return tmp_path


def row(what: str) -> Result:
    return Result(what, "a rival", Spread.once(2.0), note="1 ms")


@pytest.mark.slow
def test_the_gpu_table_has_every_row_that_a_cpu_can_go_through(folder):
    assert gpu.measure(miniature(), None) == []
    said = "\n".join(row["what"] for path in folder.iterdir() for row in json.loads(path.read_text())["results"])
    for part in (
        "bfloat16",
        "float32",
        "compiled",
        "recomputed",
        "peak memory",
        "channels last",
        "as it is",
        "finetune",
    ):
        assert part in said
    for part in ("counts of the demo adapter", "JPEGs", "switching"):
        assert part in said


def test_a_part_that_fails_costs_no_other_and_is_measured_next_time(folder, monkeypatch, capsys):
    calls = []

    def broken() -> list[Result]:
        calls.append("broken")
        raise RuntimeError("no such kernel")

    def sound() -> list[Result]:
        calls.append("sound")
        return [row("sound")]

    monkeypatch.setattr(gpu, "parts", lambda *_: {"broken": broken, "sound": sound})
    assert gpu.measure(miniature(), None) == ["broken"]
    assert "no such kernel" in capsys.readouterr().err
    assert [path.stem for path in folder.iterdir()] == ["sound"]
    assert gpu.measure(miniature(), None) == ["broken"]
    assert calls == ["broken", "sound", "broken"]
    gpu.measure(miniature(), None, again=True, only="so")
    assert calls[3:] == ["sound"]


def test_the_gpu_page_names_the_card_and_what_ours_took(folder, monkeypatch):
    monkeypatch.setattr(gpu, "parts", lambda *_: {"one": lambda: [row("counting")]})
    pages = {}
    monkeypatch.setattr(gpu, "write_page", lambda name, *parts: pages.update({name: "\n".join(parts)}))
    gpu.measure(miniature(), None)
    gpu.write()
    assert "Measured on a CPU, in miniature" in pages["gpu"]
    assert "| counting | a rival | 2.00 (2.00 to 2.00) |" in pages["gpu"]
    assert "1 ms" in pages["gpu"]


def test_the_gpu_table_refuses_to_measure_a_cpu(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        gpu.main()
    assert "--miniature" in capsys.readouterr().err
