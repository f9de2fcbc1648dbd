import os

import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.files import replacing
from sam_mprompt.training.run import RunFolder

DEAD = 99_999_999
"""The number of a process that there cannot be."""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/a/adapter", "runs/b"):
        (tmp_path / folder).mkdir(parents=True)


def test_a_run_gets_the_next_free_number_and_resuming_takes_the_latest(tmp_path):
    assert RunFolder.new("a").path.as_posix() == "runs/a-2"
    assert RunFolder.new("new").path.as_posix() == "runs/new"
    (tmp_path / "runs/a-2/state").mkdir(parents=True)
    assert RunFolder.to_resume("a").path.as_posix() == "runs/a-2"
    assert RunFolder.new("a").path.as_posix() == "runs/a-3"


def test_nothing_to_resume_and_a_folder_in_use_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Nothing to resume in 'runs/a'"):
        RunFolder.to_resume("a")
    with pytest.raises(UsageError, match="not empty"):
        RunFolder.new("a", tmp_path / "runs" / "a")


@pytest.mark.parametrize("part", ["state", "adapter"])
def test_a_run_killed_between_the_two_renames_of_a_save_is_resumed_with_all_it_had(tmp_path, part):
    run = tmp_path / "runs" / "killed"
    for name in ("state", "adapter"):
        (run / name).mkdir(parents=True)

    def save(text):
        with replacing(run / part) as temporary:
            temporary.mkdir()
            (temporary / "text").write_text(text)

    save("first")
    save("last")
    # As a kill leaves it, by a process of our number and, of an earlier kill, by another's.
    (run / part).rename(run / f".{part}.{os.getpid()}.old")
    for rubbish in (f".{part}.{os.getpid()}.part", f".{part}.{DEAD}.part", f".{part}.{DEAD}.old"):
        (run / rubbish).mkdir()
    os.utime(run / f".{part}.{DEAD}.old", (0, 0))
    assert RunFolder.to_resume("killed").path == run.relative_to(tmp_path)
    assert (run / part / "text").read_text() == "last"
    save("next")
    assert sorted(path.name for path in run.iterdir()) == ["adapter", "state"]


def test_what_kills_left_beside_a_run_does_not_stop_its_next_save_and_goes_when_it_is_resumed(tmp_path):
    state = tmp_path / "state"
    for name in ("state", f".state.{os.getpid()}.part", f".state.{os.getpid()}.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("old")
    with replacing(state) as temporary:
        temporary.mkdir()
    assert list(state.iterdir()) == []
    RunFolder(tmp_path).recover()
    assert list(tmp_path.glob(".state*")) == list(state.iterdir()) == []


def test_only_a_run_that_was_begun_and_saved_nothing_is_discarded(tmp_path):
    begun, foreign, saved = (RunFolder(tmp_path / name) for name in ("begun", "foreign", "saved"))
    for run in (begun, foreign, saved):
        run.path.mkdir()
        (run.path / "text").write_text("")
    begun.mark("0123456789abcdef")
    saved.mark("0123456789abcdef")
    saved.state.mkdir()
    for run in (begun, foreign, saved):
        run.discard_unsaved()
    assert [run.path.exists() for run in (begun, foreign, saved)] == [False, True, True]
    assert (foreign.fingerprint, saved.fingerprint) == (None, "0123456789abcdef")
