import zipfile

import pytest

from sam_mprompt.deploy.openvino_archive import GRAPH, METADATA, WEIGHTS, Archived, read_archive, write_archive
from sam_mprompt.errors import UsageError

WHOLE = Archived(b"<net/>", b"\0\1\2\3" * 100, '{"name": "a"}')


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.openvino"
    write_archive(WHOLE, path)
    return path


def test_what_was_written_is_read_and_the_same_content_is_the_same_file(file, tmp_path):
    assert read_archive(file) == WHOLE
    write_archive(WHOLE, tmp_path / "b.openvino")
    assert (tmp_path / "b.openvino").read_bytes() == file.read_bytes()


def test_a_damaged_file_is_refused_in_one_line(file):
    whole = file.read_bytes()
    at = whole.index(b"\0\1\2\3" * 100)
    for damaged in (whole[:-30], b"", b"text", whole[:at] + b"\xff" + whole[at + 1 :]):
        file.write_bytes(damaged)
        with pytest.raises(UsageError, match="cannot be read as a file of OpenVINO's") as error:
            read_archive(file)
        assert "\n" not in str(error.value)


def test_a_zip_of_somebody_else_is_refused(file):
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("more", "")
    with pytest.raises(UsageError, match="not exported by sam-mprompt"):
        read_archive(file)


def test_a_file_that_would_become_larger_is_not_unpacked(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (GRAPH, WEIGHTS, METADATA):
            archive.writestr(name, b"\0" * 10**6)
    with pytest.raises(UsageError, match="compressed"):
        read_archive(file)
