import pytest
import torch

from benchmarks.speed import gpu


@pytest.mark.slow
@pytest.mark.usefixtures("cpp_compiler")
def test_the_gpu_table_has_every_row_that_a_cpu_can_go_through():
    rows = gpu.measure(gpu.miniature())
    said = "\n".join(row.what for row in rows)
    for part in ("bfloat16", "compiled", "recomputed", "peak memory", "channels last", "pinned"):
        assert part in said
    assert {row.against for row in rows} >= {"segment_anything", "timm", "transformers"}


def test_the_gpu_table_refuses_to_measure_a_cpu(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        gpu.main()
    assert "--miniature" in capsys.readouterr().err
