import os

import pytest

from sam_mprompt.adapter.find import find_adapter, known_adapters, run_folder
from sam_mprompt.errors import UsageError
from sam_mprompt.files import replacing


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/a/adapter", "runs/b", "adapters/c"):
        (tmp_path / folder).mkdir(parents=True)
    for adapter in ("runs/a/adapter", "adapters/c"):
        (tmp_path / adapter / "counter.json").write_text("{}")


def test_adapters_are_found_in_runs_and_in_adapters():
    assert {"a", "c"} <= known_adapters().keys()
    assert "b" not in known_adapters()


@pytest.mark.parametrize("name", ["a", "runs/a", "runs/a/adapter"])
def test_an_adapter_is_found_by_name_by_run_and_by_folder(name):
    assert find_adapter(name).as_posix() == "runs/a/adapter"


def test_a_run_without_an_adapter_is_told_apart_from_a_missing_one():
    with pytest.raises(UsageError, match="neither an adapter nor a run with one"):
        find_adapter("runs/b")
    with pytest.raises(UsageError, match="No adapter 'x'"):
        find_adapter("x")


def test_a_run_gets_the_next_free_number_and_resuming_takes_the_latest(tmp_path):
    assert run_folder("a", None, resume=False).as_posix() == "runs/a-2"
    assert run_folder("new", None, resume=False).as_posix() == "runs/new"
    (tmp_path / "runs/a-2/state").mkdir(parents=True)
    assert run_folder("a", None, resume=True).as_posix() == "runs/a-2"
    assert run_folder("a", None, resume=False).as_posix() == "runs/a-3"


def test_nothing_to_resume_and_a_folder_in_use_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Nothing to resume in 'runs/a'"):
        run_folder("a", None, resume=True)
    with pytest.raises(UsageError, match="not empty"):
        run_folder("a", tmp_path / "runs" / "a", resume=False)


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
    for rubbish in (f".{part}.{os.getpid()}.part", f".{part}.1.part", f".{part}.1.old"):
        (run / rubbish).mkdir()
    os.utime(run / f".{part}.1.old", (0, 0))
    assert run_folder("killed", None, resume=True) == run.relative_to(tmp_path)
    assert (run / part / "text").read_text() == "last"
    save("next")
    assert sorted(path.name for path in run.iterdir()) == ["adapter", "state"]


def test_what_kills_left_beside_a_run_does_not_stop_its_next_save(tmp_path):
    state = tmp_path / "state"
    for name in ("state", f".state.{os.getpid()}.part", f".state.{os.getpid()}.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("old")
    with replacing(state) as temporary:
        temporary.mkdir()
    assert list(tmp_path.glob(".state*")) == list(state.iterdir()) == []
