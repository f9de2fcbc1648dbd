"""Trainings of the page: one at a time in a process of its own, which here is a few lines without torch."""

import json
import os
import signal
import sys

import pytest
from small_page import asking, small_page
from small_service import eventually

from sam_mprompt.errors import UsageError
from sam_mprompt.ui.learner import Lesson, Telling
from sam_mprompt.ui.training import RUNNING, Trainings

HEAD = """
import json, os, pathlib, signal, sys, time
lesson = json.loads(sys.stdin.readline())
run = pathlib.Path(lesson["run"])
def tell(kind, **facts):
    print(json.dumps({"kind": kind, **facts}), flush=True)
def made(*parts):
    for part in parts:
        file = run / part
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
"""
LEARNS = """
tell("say", line="timing a few steps")
tell("batch", done=0, total=4, loss=None)
tell("batch", done=3, total=4, loss=0.5)
tell("epoch", epoch=1, loss=0.5, val_mae=2.0)
tell("say", line="fold 1 of 2: 2 images are held out to tell the error")
tell("epoch", epoch=1, loss=0.7, val_mae=9.0)
made("adapter/counter.json", "state/a", "overlay.jpg")
tell("done", run=str(run), val_mae=2.0, mean_mae=3.0, folds=2)
"""
STOPS = """
def stop(*_):
    made("state/a")
    tell("stopped", line="stopped; the state is saved.")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
tell("batch", done=1, total=4, loss=0.5)
time.sleep(60)
"""


def trainings(root, script, finished=lambda name: None):
    return Trainings(root, finished, (sys.executable, "-S", "-c", HEAD + script))


def lesson(root, name="market", **more):
    return Lesson(data="data", format="json", run=str(root / name), **more)


def ended(one):
    eventually(lambda: one.progress.phase not in RUNNING)
    return one.progress


def test_a_training_tells_how_it_goes_and_what_came_of_it(tmp_path):
    finished = []
    own = trainings(tmp_path, LEARNS, finished.append)
    assert own.progress.phase == "idle"
    own.start(lesson(tmp_path), "photographs")
    progress = ended(own)
    assert (progress.phase, progress.done, progress.total, progress.history) == ("done", 3, 4, [(1, 0.5, 2.0)])
    assert progress.part == "fold 1 of 2"
    assert finished == ["market"]
    assert progress.as_dict()["outcome"] == {"val_mae": 2.0, "mean_mae": 3.0, "folds": 2}
    assert str(tmp_path) not in json.dumps(progress.as_dict())
    (run,) = own.all()
    assert (run.name, run.dataset, run.finished, run.resumable) == ("market", "photographs", True, False)


def test_a_training_that_is_stopped_is_resumed_from_its_state(tmp_path):
    own = trainings(tmp_path, STOPS)
    own.start(lesson(tmp_path), "photographs")
    eventually(lambda: own.progress.phase == "training")
    with pytest.raises(UsageError, match="'market' is being trained"):
        own.start(lesson(tmp_path, "other"), "photographs")
    own.stop()
    assert ended(own).line == "stopped; the state is saved."
    assert [(run.name, run.finished, run.resumable) for run in own.all()] == [("market", False, True)]
    again = trainings(tmp_path, 'tell("failed", line=json.dumps([lesson["data"], lesson["resume"]]))')
    again.resume("market", lambda dataset: tmp_path / dataset)
    assert json.loads(ended(again).line) == [str(tmp_path / "photographs"), True]


@pytest.mark.parametrize("name", ["nothing", "..", "../a"])
def test_what_was_never_begun_cannot_be_resumed(tmp_path, name):
    with pytest.raises(UsageError):
        trainings(tmp_path, "").resume(name, lambda dataset: tmp_path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('tell("failed", line="No space left on device.")', "No space left on device."),
        ("os._exit(9)", "was the memory enough"),
        ("print('no json', flush=True); raise SystemExit", "was the memory enough"),
    ],
)
def test_a_training_that_fails_is_told_in_one_sentence(tmp_path, script, said):
    own = trainings(tmp_path, script)
    own.start(lesson(tmp_path), "photographs")
    progress = ended(own)
    assert progress.phase == "failed"
    assert said in progress.line
    assert own.all() == []


def test_the_end_of_the_page_stops_a_training_and_waits_for_its_state(tmp_path):
    own = trainings(tmp_path, STOPS)
    own.start(lesson(tmp_path), "photographs")
    eventually(lambda: own.progress.phase == "training")
    own.close(10)
    assert (tmp_path / "market" / "state" / "a").is_file()


def test_one_that_is_stopped_before_it_saved_anything_is_told_so(tmp_path):
    own = trainings(tmp_path, "time.sleep(60)")
    own.start(lesson(tmp_path), "photographs")
    own.stop()
    assert ended(own).line == "Stopped before anything was saved."


def test_a_lesson_comes_through_a_pipe_as_it_was():
    one = Lesson("data", "json", "run", "adapters/a", None, 2.5, ("train.lr=0.1",), True)
    assert Lesson.from_json(one.to_json()) == one
    assert "\n" not in one.to_json()


def test_where_nobody_listens_any_longer_the_training_is_asked_to_stop():
    heard = []
    usual = signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    try:
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as stream:
            telling = Telling(stream)
            os.close(reading)
            telling.say("a line")
            telling.say("another")
            with open(os.devnull, "w") as other:  # noqa: PTH123
                os.dup2(other.fileno(), writing)
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert heard == [True]


def test_what_cannot_be_trained_is_refused_before_anything_is_started(tmp_path):
    with asking(small_page(tmp_path)) as client:
        for asked, said in (
            ({"dataset": "nothing"}, "No dataset 'nothing'"),
            ({"dataset": "../a"}, "No dataset"),
        ):
            response = client.post("/api/training", asked)
            assert response.status_code == 422
            assert said in response.json()["detail"]
        client.page.datasets.save("market", "a.png", b"\x89PNG", [], (4, 4))
        for asked, said in (
            ({"dataset": "market", "minutes": 0}, "more than 0 and at most 1440 minutes"),
            ({"dataset": "market", "start": "statoin"}, "Did you mean 'station'?"),
            ({"dataset": "market", "name": "../a"}, "Expected a name for the training"),
        ):
            response = client.post("/api/training", asked)
            assert response.status_code == 422
            assert said in response.json()["detail"]
        assert client.get("/api/training").json()["phase"] == "idle"
        assert client.post("/api/training/nothing/resume").status_code == 422
