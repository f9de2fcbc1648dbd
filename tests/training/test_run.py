import os
import subprocess
import sys
from pathlib import Path

import pytest

import sam_mprompt
from sam_mprompt.errors import UsageError
from sam_mprompt.files import replacing
from sam_mprompt.training.run import RunFolder

DEAD = 999_999_999
"""A number that no process has."""


def claimed(out, *, resume=False):
    """The folder `out`, or the next of the name "x"."""
    return RunFolder.claimed("x", out, resume=resume)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/a/adapter", "runs/b"):
        (tmp_path / folder).mkdir(parents=True)


def test_a_run_gets_the_next_free_number_and_resuming_takes_the_latest(tmp_path):
    with RunFolder.claimed("a") as run:
        assert run.path.as_posix() == "runs/a-2"
        run.state.mkdir()
    with RunFolder.claimed("new") as run:
        assert run.path.as_posix() == "runs/new"
    with RunFolder.claimed("a", resume=True) as run:
        assert run.path.as_posix() == "runs/a-2"
    with RunFolder.claimed("a") as run:
        assert run.path.as_posix() == "runs/a-3"


def test_two_runs_of_one_name_at_once_get_two_folders():
    with RunFolder.claimed("same") as one, RunFolder.claimed("same") as other:
        assert [run.path.as_posix() for run in (one, other)] == ["runs/same", "runs/same-2"]
        assert one.path.is_dir()
        assert other.path.is_dir()


def test_a_folder_in_which_another_process_trains_is_refused_in_one_line_that_names_it(tmp_path):
    out = tmp_path / "out"
    code = "from sam_mprompt.training.run import RunFolder; from pathlib import Path; import sys, time\n"
    code += "with RunFolder.claimed('x', Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    environment = os.environ | {"PYTHONPATH": str(Path(sam_mprompt.__file__).parents[1])}
    for resume in (False, True):
        with subprocess.Popen([sys.executable, "-c", code, out], stdout=subprocess.PIPE, env=environment) as other:
            other.stdout.readline()
            (out / "state").mkdir(exist_ok=True)
            with pytest.raises(UsageError, match=f"trained by process {other.pid}"), claimed(out, resume=resume):
                pytest.fail("two in one folder")
            other.kill()
        (out / "state").rmdir()
    with claimed(out) as run:  # the lock of the dead is nobody's
        assert run.path == out


def test_nothing_to_resume_and_a_folder_in_use_are_refused(tmp_path):
    for resumed in (tmp_path / "runs" / "a", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="Nothing to resume in"), claimed(resumed, resume=True):
            pytest.fail("nothing was there")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(UsageError, match="not empty"), claimed(tmp_path / "runs" / "a"):
        pytest.fail("it was in use")
    assert [path.name for path in (tmp_path / "runs" / "a").iterdir()] == ["adapter"]


@pytest.mark.parametrize("left", [["metrics.jsonl"], ["metrics.jsonl", "recipe.toml", ".lock", f".state.{DEAD}.part"]])
def test_a_run_that_was_killed_before_its_first_state_starts_anew_and_resuming_says_so(tmp_path, left):
    out = tmp_path / "out"
    out.mkdir()
    for name in left:
        (out / name).write_text("")
    with pytest.raises(UsageError, match="ended before it saved anything"), claimed(out, resume=True):
        pytest.fail("nothing was saved")
    with claimed(out) as run:
        assert run.is_empty


def refused(out):
    """Begin a run as a training does, and refuse what was asked for."""
    with claimed(out) as run:
        run.metrics.write_text("")
        run.recipe.write_text("")
        raise UsageError("no data")


def test_a_new_run_that_fails_before_it_saved_anything_leaves_no_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "out", tmp_path / "mine", None):
        with pytest.raises(UsageError, match="no data"):
            refused(out)
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "mine").iterdir()) == []
    assert not (tmp_path / "runs" / "x").exists()


def test_a_state_folder_that_is_a_link_is_saved_to_and_mended_where_it_leads(tmp_path):
    run, disk = RunFolder(tmp_path / "linked"), tmp_path / "disk"
    for folder in (run.path, disk / "state"):
        folder.mkdir(parents=True)
    run.state.symlink_to(disk / "state")
    with replacing(run.state) as temporary:
        temporary.mkdir()
        (temporary / "text").write_text("last")
    (disk / "state").rename(disk / f".state.{os.getpid()}.old")  # as a kill leaves it
    run.recover()
    assert run.state.is_symlink()
    assert (disk / "state" / "text").read_text() == "last"


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
    with RunFolder.claimed("killed", resume=True) as resumed:
        assert resumed.path == run.relative_to(tmp_path)
    assert (run / part / "text").read_text() == "last"
    save("next")
    assert sorted(path.name for path in run.iterdir()) == ["adapter", "state"]


def test_what_kills_left_beside_a_run_does_not_stop_its_next_save(tmp_path):
    state = tmp_path / "state"
    for name in ("state", f".state.{os.getpid()}.part", f".state.{os.getpid()}.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("old")
    RunFolder(tmp_path).recover()
    with replacing(state) as temporary:
        temporary.mkdir()
    assert list(tmp_path.glob(".state*")) == list(state.iterdir()) == []


def test_only_a_run_that_was_begun_and_saved_nothing_is_discarded(tmp_path):
    begun, foreign, with_more, saved = (RunFolder(tmp_path / name) for name in ("begun", "foreign", "more", "saved"))
    for run in (begun, foreign, with_more, saved):
        run.path.mkdir()
        if run is not foreign:
            run.mark("0123456789abcdef")
    foreign.recipe.write_text("")
    (with_more.path / "mine.txt").write_text("")
    saved.state.mkdir()
    before = {run.path: sorted(run.path.iterdir()) for run in (foreign, with_more, saved)}
    for run in (begun, foreign, with_more, saved):
        run.discard_unsaved()
    assert begun.is_empty
    assert before == {run.path: sorted(run.path.iterdir()) for run in (foreign, with_more, saved)}
    assert (foreign.fingerprint, saved.fingerprint) == (None, "0123456789abcdef")


def test_a_damaged_fingerprint_is_another_one(tmp_path):
    (tmp_path / "fingerprint").write_bytes(b"0123\xff")
    assert RunFolder(tmp_path).fingerprint == "0123\ufffd"
