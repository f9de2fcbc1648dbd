"""The corpus: seeds, and what fuzzers found, each read or refused in a line by its parser."""

import pytest

from fuzz.attempt import Attempt
from fuzz.parser import CORPUS, corpus_of
from fuzz.parsers import parsers
from fuzz.supervise import MOST_BYTES, MOST_SECONDS
from fuzz.worker import met

_FILES = [(name, file) for name in parsers() for file in corpus_of(name)]
_MOST_BYTES_OF_ALL = 300_000


def _met(name, file, folder):
    parser = parsers()[name]
    path = parser.fresh(folder / "input", file.read_bytes(), file.suffix)
    return met(Attempt(str(file), lambda: parser.read(path)), folder)


@pytest.mark.parametrize(("name", "file"), _FILES, ids=[f"{name}/{file.name}" for name, file in _FILES])
def test_each_file_is_read_or_refused_in_a_line(name, file, tmp_path):
    outcome = _met(name, file, tmp_path)
    assert outcome["kind"] in ("read", "refused"), outcome["detail"]
    assert outcome["busy"] < MOST_SECONDS
    assert outcome["grown"] < MOST_BYTES


@pytest.mark.parametrize("name", parsers())
def test_each_parser_reads_a_seed_whole(name, tmp_path):
    outcomes = [_met(name, file, tmp_path) for file in corpus_of(name)]
    assert any(outcome["kind"] == "read" for outcome in outcomes), [outcome["detail"] for outcome in outcomes]


def test_every_folder_of_the_corpus_is_a_parsers_and_all_are_small():
    folders = {str(file.parent.relative_to(CORPUS)) for file in CORPUS.rglob("*") if file.is_file()}
    assert folders == set(parsers())
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < _MOST_BYTES_OF_ALL
