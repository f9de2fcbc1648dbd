import resource
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from sam_mprompt.data.masks import read_mask, write_mask
from sam_mprompt.errors import UsageError

MASK = np.random.default_rng(0).random((370, 530)) > 0.5


def test_a_mask_comes_back_as_it_was_written(tmp_path):
    write_mask(tmp_path / "m.png", MASK)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", MASK.shape), MASK)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_a_damaged_mask_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "m.png"
    write_mask(path, MASK)
    whole = path.read_bytes()
    flipped = whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:]
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "flipped": flipped, "text": b"PK\3\4"}[damage])
    with pytest.raises(UsageError, match=r"pseudo mask .*m\.png' cannot be decoded"):
        read_mask(path, MASK.shape)


def test_a_mask_of_another_size_is_refused_without_decoding_it(tmp_path, monkeypatch):
    Image.new("1", (3000, 3000)).save(tmp_path / "m.png")

    def decoded(*arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("sam_mprompt.data.masks.read_grey", decoded)
    with pytest.raises(UsageError, match="has 3000x3000 pixels, its image 530x370"):
        read_mask(tmp_path / "m.png", MASK.shape)


def test_a_mask_whose_chunk_claims_gigabytes_takes_no_memory_for_them(tmp_path):
    # OpenCV makes room for what a chunk claims before it looks for it.
    path = tmp_path / "m.png"
    Image.new("1", (32, 24)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + b"\x9b" + data[34:])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(UsageError):
        read_mask(path, (24, 32))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_mask_in_colours_counts_by_its_brightness(tmp_path):
    Image.fromarray(np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0]]], np.uint8)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", (1, 3)), [[True, False, True]])
