import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.contact_sheet import contact_sheet
from sam_mprompt.errors import UsageError


def plain(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=12),
    columns=st.none() | st.integers(1, 15),
    captioned=st.booleans(),
)
def test_every_picture_is_on_the_sheet_unchanged(sizes, columns, captioned):
    images = [plain(height, width, 10 + 5 * number) for number, (height, width) in enumerate(sizes)]
    sheet = contact_sheet(images, columns, [""] * len(images) if captioned else None)
    assert sheet.dtype == np.uint8
    for number, (height, width) in enumerate(sizes):
        rows, columns_ = np.nonzero((sheet == 10 + 5 * number).all(2))
        assert len(rows) == height * width
        assert (np.ptp(rows) + 1, np.ptp(columns_) + 1) == (height, width)


def test_pictures_run_from_left_to_right_then_down():
    sheet = contact_sheet([plain(20, 30, value) for value in (10, 20, 30, 40, 50)], columns=2)
    corners = [np.argwhere((sheet == value).all(2))[0] for value in (10, 20, 30, 40, 50)]
    assert [tuple(corner > corners[0]) for corner in corners[1:]] == [
        (False, True),
        (True, False),
        (True, True),
        (True, False),
    ]


def test_captions_stand_below_their_picture_and_never_reach_the_next():
    images = [plain(30, 80, 100), plain(30, 80, 120)]
    without, short = contact_sheet(images, 2, ["", ""]), contact_sheet(images, 2, ["17 heads", ""])
    changed = np.argwhere((without != short).any(2))
    assert len(changed) > 20
    assert (changed[:, 0] >= 8 + 30).all()
    assert changed[:, 1].max() < 8 + 80 + 8
    long = contact_sheet(images, 2, ["a caption that is far too long for so small a picture", ""])
    assert np.argwhere((without != long).any(2))[:, 1].max() < 8 + 80 + 8


@pytest.mark.parametrize(
    ("images", "options", "named"),
    [
        ([], {}, "none"),
        ([np.zeros((4, 4, 3), np.float32)], {}, "float32"),
        ([plain(4, 4, 0), np.zeros((4, 4), np.uint8)], {}, "image 1"),
        ([plain(4, 4, 0)], {"columns": 0}, "0"),
        ([plain(4, 4, 0)], {"captions": ["a", "b"]}, "2 for 1"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_by_name(images, options, named):
    with pytest.raises(UsageError, match=named):
        contact_sheet(images, **options)
