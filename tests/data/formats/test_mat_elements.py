import io

import numpy as np
import pytest
from scipy.io import savemat

from sam_mprompt.data.formats.mat_elements import check_elements
from sam_mprompt.data.formats.parsing import read_mat
from sam_mprompt.errors import UsageError

MOST = 1 << 20
POINTS = np.array([[3.0, 4.5], [20.0, 11.0], [9.5, 17.0]])


def cell(value):
    made = np.empty((1, 1), object)
    made[0, 0] = value
    return made


def saved(value=POINTS, **options):
    buffer = io.BytesIO()
    savemat(buffer, {"annPoints": value}, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}], ids=str)
@pytest.mark.parametrize("value", [POINTS, np.zeros((0, 2)), np.array([["a", "b"]]), np.uint8(POINTS)])
def test_what_is_written_by_others_passes(value, options):
    check_elements(saved(value, **options), MOST)


@pytest.mark.parametrize("value", [cell(POINTS), cell(cell(POINTS)), {"location": POINTS, "number": cell({"x": 1})}])
def test_matrices_that_hold_matrices_pass(value):
    check_elements(saved(value), MOST)
    check_elements(saved(value, do_compression=True), MOST)


@pytest.mark.parametrize("kind", [0, 8, 10, 11, 14, 15, 19, 255, 0x8000, 0x80000000, 0xFFFFFFFF])
def test_a_type_of_numbers_that_is_none_is_refused_before_it_is_looked_up(tmp_path, kind):
    # scipy takes it for an index into a table in C, which ended the process (found by tests/fuzz).
    data = bytearray(saved())
    place = data.index(b"annPoints") + 16
    assert data[place : place + 4] == b"\x09\0\0\0"
    data[place : place + 4] = kind.to_bytes(4, "little")
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(UsageError, match=r"a\.mat': truncated or not a MATLAB file \(an? .*element"):
        read_mat(tmp_path / "a.mat", "annPoints")


def test_an_element_that_is_cut_short_or_nested_too_deeply_is_refused():
    with pytest.raises(ValueError, match=r"an element of .* bytes, of which .* are there"):
        check_elements(saved()[:-9], MOST)
    deep = POINTS
    for _ in range(40):
        deep = cell(deep)
    with pytest.raises(ValueError, match="nested too deeply"):
        check_elements(saved(deep), MOST)


def test_compressed_parts_are_unpacked_within_a_limit():
    data = saved(np.zeros((1000, 2)), do_compression=True)
    check_elements(data, 17_000)
    with pytest.raises(ValueError, match="more than 9000 bytes when unpacked"):
        check_elements(data, 9_000)
