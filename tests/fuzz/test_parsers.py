"""Every parser with its corpus, spliced by hypothesis: whatever a file holds, it is read or refused in a line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.attempt import Attempt
from fuzz.parser import corpus_of
from fuzz.parsers import parsers
from fuzz.worker import met

_PIECES = st.one_of(st.binary(max_size=8), st.sampled_from([b"[]", b"{}", b"NaN", b"-1", b"1e999", b'""', b"null"]))
_SPLICES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), _PIECES), min_size=1, max_size=3)


def _spliced(content, splices):
    for share, left_out, piece in splices:
        place = int(share * len(content))
        content = content[:place] + piece + content[place + left_out :]
    return content


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize("name", parsers())
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_spliced_file_is_read_or_refused_in_a_line(name, work, data):
    parser, seed = parsers()[name], data.draw(st.sampled_from(corpus_of(name)))
    content = _spliced(seed.read_bytes(), data.draw(_SPLICES))
    path = parser.fresh(work / "input", content, seed.suffix)
    outcome = met(Attempt(name, lambda: parser.read(path)), work)
    assert outcome["kind"] in ("read", "refused"), outcome["detail"]
