import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.files import name_of


def test_a_short_stem_stays_as_it_is():
    assert name_of("street", before="01_", after=".jpg") == "01_street.jpg"
    assert name_of("s" * 251, after=".jpg") == "s" * 251 + ".jpg"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=200))
def test_no_name_has_more_than_255_bytes(stem):
    made = name_of(stem * 5, before="train-1-", after="_actual-100.jpg")
    assert len(os.fsencode(made)) <= 255
    assert made.startswith("train-1-")
    assert made.endswith("_actual-100.jpg")


@pytest.mark.parametrize("stem", ["n" * 252, "é" * 126, os.fsdecode(b"caf\xe9" * 70)])
def test_two_long_names_that_begin_alike_stay_two_and_can_be_written(tmp_path, stem):
    made = {name_of(stem + end, after=".jpg") for end in "ab"}
    assert len(made) == 2
    for name in made:
        Path(tmp_path, name).touch()
    assert len(list(tmp_path.iterdir())) == 2
