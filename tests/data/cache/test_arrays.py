import numpy as np
import pytest

from sam_mprompt.data.cache.arrays import is_intact, read_cached, write_array
from sam_mprompt.errors import RunError

ARRAY = np.arange(2 * 3 * 4, dtype=np.float16).reshape(2, 3, 4)


@pytest.fixture
def file(tmp_path):
    write_array(tmp_path / "a.npy", ARRAY)
    return tmp_path / "a.npy"


def changed(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def test_a_cached_array_is_read_as_it_was_written(file):
    assert is_intact(file)
    for _ in range(2):
        assert np.array_equal(read_cached(file), ARRAY)


@pytest.mark.parametrize("place", [130, 150, -80, -1])  # values, and the checksum itself
def test_a_bit_that_the_disk_has_turned_is_refused(file, place):
    changed(file, place)
    assert not is_intact(file)
    with pytest.raises(RunError, match=r"'.*a\.npy' in the cache cannot be read"):
        read_cached(file)


def test_a_file_that_changed_after_it_was_verified_is_looked_at_again(file):
    read_cached(file)
    changed(file, 140)
    with pytest.raises(RunError, match="SHA-256"):
        read_cached(file)


def test_a_file_of_version_0_1_which_has_no_checksum_is_read(tmp_path):
    np.save(tmp_path / "old.npy", ARRAY)
    assert is_intact(tmp_path / "old.npy")
    assert np.array_equal(read_cached(tmp_path / "old.npy"), ARRAY)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4" + bytes(40), b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x05\x00{{{{{"]
)
def test_a_file_that_is_no_array_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    assert not is_intact(tmp_path / "x.npy")
    with pytest.raises(RunError, match=r"x\.npy' in the cache cannot be read .* Delete it"):
        read_cached(tmp_path / "x.npy")


def test_a_file_that_was_cut_short_or_is_gone_is_not_whole(file, tmp_path):
    file.write_bytes(file.read_bytes()[:-90])
    for path in (file, tmp_path / "none.npy", tmp_path):
        assert not is_intact(path)
        with pytest.raises(RunError, match="cannot be read"):
            read_cached(path)


def test_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(RunError, match="cannot be read"):
        read_cached(tmp_path / "o.npy")
