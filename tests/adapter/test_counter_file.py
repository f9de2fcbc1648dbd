import json

import pytest
from tampering import as_version_1, change_counter_file

from sam_mprompt.adapter.counter_file import COUNTER, FORMAT_VERSION, read_counter_file
from sam_mprompt.errors import UsageError
from sam_mprompt.resources import bundled


def test_version_1_calls_the_size_divisor_multiple_and_is_read(adapter):
    written = read_counter_file(adapter)
    as_version_1(adapter)
    assert "multiple" in json.loads((adapter / COUNTER).read_text())
    read = read_counter_file(adapter)
    assert read.format_version == 1
    assert read.size_divisor == written.size_divisor == 16
    assert read.geometry == written.geometry


def test_the_demo_is_read_as_version_0_1_wrote_it():
    demo = read_counter_file(bundled("adapters") / "demo")
    assert (demo.format_version, demo.written_by) == (1, "0.1.0")
    assert (demo.stride, demo.size_divisor, demo.geometry.tile) == (8, 16, 448)


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, None, "2"])
def test_an_adapter_of_a_version_that_is_not_known_is_refused(adapter, version):
    change_counter_file(adapter, lambda table: table.update(format_version=version))
    with pytest.raises(UsageError, match=r"reads 1 and 2\. Upgrade sam-mprompt"):
        read_counter_file(adapter)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"stride": 0}, "stride"), ({"geometry": {"tile": 0}}, "geometry"), ({"mean": [1, 2]}, "mean"), ({"x": 1}, "x")],
)
def test_a_faulty_value_is_named(adapter, change, key):
    change_counter_file(adapter, lambda table: table.update(change))
    with pytest.raises(UsageError, match=f"damaged, faulty keys: {key}"):
        read_counter_file(adapter)


def test_a_folder_that_is_no_adapter_and_a_file_that_is_no_object_are_told_apart(adapter, tmp_path):
    with pytest.raises(UsageError, match="no adapter of sam-mprompt"):
        read_counter_file(tmp_path)
    for content, said in (("[1]", "got list"), ("{", "cannot be read as JSON")):
        (adapter / COUNTER).write_text(content)
        with pytest.raises(UsageError, match=said):
            read_counter_file(adapter)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format_version": ' + "1" * 5000 + "}", '{"base": "\\ud800"}', "\x00", "[]", ""]
)
def test_a_counter_file_that_python_stumbles_over_is_refused_in_one_line(adapter, text):
    (adapter / COUNTER).write_text(text)
    with pytest.raises(UsageError) as said:
        read_counter_file(adapter)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/b", "", ".hidden", "a\0b"])
def test_names_of_files_stay_inside_the_folder(adapter, name):
    change_counter_file(adapter, lambda table: table["sha256"].update({name: "0"}))
    with pytest.raises(UsageError, match="faulty keys: sha256"):
        read_counter_file(adapter)


def test_what_is_wrong_with_a_counter_file_is_said_in_full(adapter, tmp_path):
    with pytest.raises(UsageError) as told:
        read_counter_file(tmp_path)
    assert str(told.value) == f"'{tmp_path}' is no adapter of sam-mprompt: it has no counter.json."
    assert told.value.about == "adapter"
    path = adapter / COUNTER
    change_counter_file(adapter, lambda table: table.update(stride=0, geometry={"tile": 0}))
    with pytest.raises(UsageError) as told:
        read_counter_file(adapter)
    assert str(told.value) == f"'{path}' is damaged, faulty keys: stride, geometry. Copy the folder again."
    change_counter_file(adapter, lambda table: table.update(mean=["x", 0, 0], stride=4, geometry={}))
    with pytest.raises(UsageError, match=r"faulty keys: mean\.0\. Copy"):
        read_counter_file(adapter)
    change_counter_file(adapter, lambda table: table.update(format_version=3))
    with pytest.raises(UsageError) as told:
        read_counter_file(adapter)
    assert str(told.value) == (
        f"'{path}' has format version 3, this version of the package reads 1 and 2. Upgrade sam-mprompt, or export the "
        "adapter again."
    )
    path.write_text("[1]")
    with pytest.raises(UsageError, match=rf"^'{path}' .*got list.* Copy the folder again\.$"):
        read_counter_file(adapter)
