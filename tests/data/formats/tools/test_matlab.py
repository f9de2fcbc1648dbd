import h5py
import numpy as np
import pytest
from crowd_files import HEADS, folder_of, points
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from sam_mprompt.data import packages
from sam_mprompt.data.formats.parsing import read_mat
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.data.formats.tools.matlab import MATLAB, read_points
from sam_mprompt.errors import UsageError


def mat73(path, **variables: object) -> None:
    """Write tables as MATLAB's save -v7.3 does: HDF5 behind 512 bytes, transposed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            data = np.asarray(value, float)
            table = file.create_dataset(name, data=np.array([0, 0], np.uint64) if data.size == 0 else data.T)
            table.attrs["MATLAB_class"] = np.bytes_("double")
            if data.size == 0:
                table.attrs["MATLAB_empty"] = np.uint8(1)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116))


def shanghaitech_73(path, places: object) -> None:
    """Write image_info{1}.location and .number as MATLAB 7.3 does: a cell of references to structures."""
    with h5py.File(path, "w", userblock_size=512) as file:
        inner = file.create_group("#refs#/a")
        inner["location"], inner["number"] = np.asarray(places, float).T, [[float(len(places))]]
        cell = file.create_dataset("image_info", (1, 1), dtype=h5py.ref_dtype)
        cell[0, 0] = inner.ref


@pytest.mark.parametrize("write", [lambda path, **content: savemat(path, content), mat73], ids=["5", "7.3"])
@pytest.mark.parametrize("name", ["points", "annPoints"])
def test_tables_of_both_versions_are_read_empty_ones_too(tmp_path, write, name):
    write(tmp_path / "a.mat", **{name: HEADS})
    write(tmp_path / "b.mat", **{name: np.empty((0, 0))})
    assert points(folder_of(tmp_path, {})) == {"a.jpg": HEADS, "b.jpg": []}


def test_a_public_dataset_saved_again_by_matlab_73_is_read_as_before(tmp_path):
    folder_of(tmp_path / "train_data/images", {})
    truth = tmp_path / "train_data/ground_truth"
    truth.mkdir()
    for name in "ab":
        shanghaitech_73(truth / f"GT_{name}.mat", HEADS)
    split = read_split(tmp_path, "train", val_fraction=0)
    assert split.format == "shanghaitech"
    assert [sample.points.tolist() for sample in split.samples] == [HEADS, HEADS]
    assert not split.problems


@pytest.mark.parametrize("write", [lambda path, **content: savemat(path, content), mat73], ids=["5", "7.3"])
def test_other_variables_are_named_and_none_is_guessed(tmp_path, write):
    path = tmp_path / "a.mat"
    write(path, where=HEADS, picture=np.ones((4, 5)))
    with pytest.raises(
        UsageError, match=r"expected one variable 'points'.*(where \(2x2\), picture|picture \(4x5\), where)"
    ):
        read_points(path)
    write(path, points=HEADS, annPoints=HEADS)
    with pytest.raises(UsageError, match="expected one variable 'points'"):
        read_points(path)
    assert MATLAB.kind_of(path) == "one"


def test_a_workspace_beside_no_image_of_its_name_is_not_taken_for_annotation(tmp_path):
    savemat(tmp_path / "workspace.mat", {"accuracy": 3})
    assert MATLAB.kind_of(tmp_path / "workspace.mat") is None


def hostile(path, kind: str) -> None:
    with h5py.File(path, "w") as file:
        if kind == "huge":
            file.create_dataset("points", (1 << 40, 2), dtype="f8", chunks=(1 << 10, 2))
        elif kind == "link":
            file["points"] = h5py.ExternalLink("other.h5", "/points")
        elif kind == "external":
            file.create_dataset("points", (1, 2), dtype="f8", external=[(str(path.with_name("other")), 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((1, 2), "f8")
            layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "points", (1, 2))
            file.create_virtual_dataset("points", layout)
        elif kind == "loop":
            cell = file.create_dataset("points", (1, 1), dtype=h5py.ref_dtype)
            cell[0, 0] = cell.ref
        elif kind == "wide":
            file.create_dataset("points", data=np.array([b"x" * 1000]))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("huge", "more than 8 million values"),
        ("link", "found none"),
        ("external", "a table that lies in another file"),
        ("virtual", "a table that lies in another file"),
        ("loop", "nested too deeply"),
        ("wide", "expected rows of 2 numbers"),
    ],
)
def test_hostile_hdf5_is_refused_before_its_contents_are_read(tmp_path, kind, message):
    path = tmp_path / "a.mat"
    hostile(path, kind)
    with pytest.raises(UsageError, match=message) as refused:
        read_points(path)
    assert "\n" not in str(refused.value)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_damage_to_hdf5_is_a_refusal_or_a_table(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    mat73(path, points=HEADS)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(512, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), place]))])
    try:
        found = read_points(path)
    except UsageError:
        return
    assert found.by_label[None].points.shape[1] == 2


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    path = tmp_path / "a.mat"
    mat73(path, points=HEADS)
    monkeypatch.setattr(packages, "import_module", missing)
    with pytest.raises(UsageError, match="needs the package 'h5py', which the extra 'mat73' brings"):
        read_mat(path, "points")
