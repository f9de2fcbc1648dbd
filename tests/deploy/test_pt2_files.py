import json

import numpy as np
import pytest
import torch
from pooling_backend import PoolingBackend, noise
from pooling_file import pooling_metadata
from torch.export import Dim

from sam_mprompt import load
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.deploy.export import export
from sam_mprompt.deploy.pt2_files import Pt2Backend, write_pt2
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.training.run import RunFolder


class Pooling(torch.nn.Module):
    def forward(self, tiles):
        return torch.nn.functional.avg_pool2d(tiles.abs().mean(1, keepdim=True), 4)[:, 0] * 0.16


@pytest.fixture(scope="module")
def program():
    sides = {2: 4 * Dim("rows", min=2, max=99), 3: 4 * Dim("columns", min=2, max=99), 0: Dim("count", min=1, max=99)}
    return torch.export.export(Pooling(), (torch.zeros(2, 3, 32, 48),), dynamic_shapes={"tiles": sides})


def test_a_file_counts_and_keeps_its_metadata(program, tmp_path):
    write_pt2(program, pooling_metadata(), tmp_path / "a.pt2")
    counter = load(tmp_path / "a.pt2", device="cpu")
    tiles = np.random.default_rng(0).standard_normal((3, 3, 16, 64)).astype(np.float32)
    backend = Pt2Backend(tmp_path / "a.pt2", "cpu")
    np.testing.assert_allclose(backend.density(tiles), PoolingBackend().density(tiles), rtol=1e-4)
    assert backend.metadata.to_json() == pooling_metadata().to_json()
    assert counter.count(noise(40, 50)).count > 0


def test_a_program_that_gives_another_number_of_cells_is_told_and_not_counted(program, tmp_path):
    write_pt2(program, pooling_metadata(stride=8), tmp_path / "a.pt2")
    with pytest.raises(RunError, match=r"PyTorch gave no density: expected float32 \(1, 2, 4\)"):
        Pt2Backend(tmp_path / "a.pt2", "cpu").density(np.zeros((1, 3, 16, 32), np.float32))


@pytest.mark.parametrize("name", ["a.onnx", "a.openvino"])
def test_a_program_of_pytorchs_is_loaded_under_its_own_suffix_alone(program, tmp_path, monkeypatch, name):
    monkeypatch.setattr(torch.export, "load", lambda *_, **__: pytest.fail("it was loaded"))
    write_pt2(program, pooling_metadata(), tmp_path / name)
    with pytest.raises(UsageError, match=f"'.*{name}'"):
        load(tmp_path / name)


def test_what_export_did_not_write_is_refused_in_one_line(program, tmp_path):
    torch.export.save(program, tmp_path / "bare.pt2")
    (tmp_path / "text.pt2").write_text(json.dumps({}))
    for name, message in (("bare", "not exported by sam-mprompt|cannot be read"), ("text", "cannot be read as a pt2")):
        with pytest.raises(UsageError, match=message) as error:
            Pt2Backend(tmp_path / f"{name}.pt2", "cpu")
        assert "\n" not in str(error.value)


def test_narrower_numbers_are_refused(trained_run, tmp_path):
    folder = AdapterFolder.read(RunFolder(trained_run).adapter)
    with pytest.raises(UsageError, match="pt2 file in float32"):
        export(folder, tmp_path / "a.pt2", kind="pt2", dtype="int8")


@pytest.mark.slow
def test_an_adapter_becomes_a_pt2_file_that_counts_alike(trained_run, tmp_path):
    folder = AdapterFolder.read(RunFolder(trained_run).adapter)
    made = export(folder, tmp_path / "a.pt2", kind="pt2", images=[noise(96, 96)])
    image = noise(70, 150)
    found, expected = (load(path, device="cpu").count(image).count for path in (made.path, folder.path))
    assert found == pytest.approx(expected, rel=1e-4)
