"""What is remembered of the files of a dataset."""

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sam_mprompt.data.cache.hashes import RememberedHashes
from sam_mprompt.errors import UsageError

LONG_AGO = 1_600_000_000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM_MPROMPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hashes"


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "data").mkdir()
    return written(tmp_path / "data" / "a.png", b"one").parent


def written(path, content, when=LONG_AGO):
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


def remembered(dataset):
    """Hash all files of a dataset and keep that."""
    memory = RememberedHashes(dataset)
    hashes = {path.name: memory.sha256(path) for path in sorted(dataset.iterdir())}
    memory.save()
    return hashes


def test_what_was_hashed_once_is_known_without_reading_the_file(cache, dataset, monkeypatch):
    first = remembered(dataset)
    assert first == {"a.png": hashlib.sha256(b"one").hexdigest()}

    def read(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("sam_mprompt.data.cache.hashes.sha256_of", read)
    assert remembered(dataset) == first


@pytest.mark.parametrize(("content", "when"), [(b"four", LONG_AGO), (b"two", LONG_AGO + 1)])
def test_a_file_of_another_size_or_time_is_hashed_anew(cache, dataset, content, when):
    remembered(dataset)
    written(dataset / "a.png", content, when)
    assert remembered(dataset)["a.png"] == hashlib.sha256(content).hexdigest()


def test_a_file_that_was_changed_just_now_is_not_remembered(cache, dataset):
    (dataset / "a.png").write_bytes(b"two")
    remembered(dataset)
    assert RememberedHashes(dataset).recall(dataset / "a.png") is None


def test_a_damaged_memory_is_made_anew(cache, dataset):
    right = remembered(dataset)
    (file,) = cache.iterdir()
    whole = file.read_text()
    for damaged in ("", "[]", "{", "[" * 100_000, '{"files": 3}', whole[:-5], whole.replace(right["a.png"], "0" * 64)):
        file.write_text(damaged)
        assert RememberedHashes(dataset).recall(dataset / "a.png") is None
        assert remembered(dataset) == right
        assert file.read_text() == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_done_without(cache, dataset):
    cache.mkdir(parents=True)
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert remembered(dataset) == {"a.png": hashlib.sha256(b"one").hexdigest()}


def test_a_memory_that_has_no_place_is_done_without(cache, dataset, monkeypatch):
    cache.parent.write_text("a file where the folder should be")
    assert remembered(dataset) == {"a.png": hashlib.sha256(b"one").hexdigest()}

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SAM_MPROMPT_CACHE")
    monkeypatch.setattr(Path, "home", homeless)
    assert remembered(dataset) == {"a.png": hashlib.sha256(b"one").hexdigest()}


def test_writers_at_the_same_time_leave_a_whole_memory(cache, dataset):
    for number in range(20):
        written(dataset / f"{number}.png", b"%d" % number)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: remembered(dataset), range(16)))
    assert all(hashes == told[0] for hashes in told)
    memory = RememberedHashes(dataset)
    assert all(memory.recall(path) == told[0][path.name] for path in dataset.iterdir())
    assert len(list(cache.iterdir())) == 1


def test_a_memory_that_is_complete_is_not_written_again(cache, dataset):
    remembered(dataset)
    (file,) = cache.iterdir()
    before = file.stat().st_ino
    remembered(dataset)
    assert file.stat().st_ino == before


def test_datasets_have_memories_of_their_own(cache, dataset, tmp_path):
    (tmp_path / "other").mkdir()
    written(tmp_path / "other" / "a.png", b"other")
    remembered(dataset)
    remembered(tmp_path / "other")
    assert len(list(cache.iterdir())) == 2
    assert RememberedHashes(dataset).recall(dataset / "a.png") is not None


def test_a_file_that_is_not_there_is_refused(cache, dataset):
    with pytest.raises(UsageError, match=r"gone\.png"):
        RememberedHashes(dataset).sha256(dataset / "gone.png")
