"""Counts that are killed at random moments: every image and every frame has one row, and a service answers right."""

import csv
import http.client
import json
import random
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from faults.killing import SEED, Child, share, survive, tell
from small_service import photograph, small_service
from videos import write_video

from sam_mprompt.cli.app import main
from sam_mprompt.counting.counter import load
from sam_mprompt.serve.server import Server


@pytest.fixture
def loaded(trained_run, monkeypatch):
    """A counter that every child finds loaded."""
    counter = load(trained_run)
    monkeypatch.setattr("sam_mprompt.deploy.load.load", lambda *_arguments, **_options: counter)
    return trained_run


def command(*words: object) -> None:
    """Run a command as a process of its own would."""
    sys.argv = ["sam-mprompt", *map(str, words)]
    main()


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.slow
def test_a_killed_count_has_every_image_and_every_head_once(tmp_path, loaded, crowd_folder):
    images = sorted(crowd_folder.glob("*.png"))

    def count(folder: Path) -> None:
        files = ("--csv", folder / "c.csv", "--resume-csv", "--points", folder / "p.csv")
        command("count", loaded, *images, *files)

    def rows(folder: Path) -> tuple[bytes, bytes]:
        counted = [row[0] for row in rows_of(folder / "c.csv")[1:]]
        assert counted == [str(image) for image in images]
        return (folder / "c.csv").read_bytes(), (folder / "p.csv").read_bytes()

    def whole_rows(folder: Path) -> None:
        if (folder / "c.csv").exists():
            text = (folder / "c.csv").read_text()
            assert all(len(row) == 2 for row in csv.reader(text[: text.rfind("\n") + 1].splitlines()))

    survive(count, tmp_path, rows, kills=share(10), name="count", check=whole_rows)


@pytest.mark.slow
def test_a_killed_series_of_a_video_has_every_frame_once(tmp_path, loaded):
    video = write_video(tmp_path / "station.avi", range(30, 240, 7))

    def count(folder: Path) -> None:
        words = ("--every", "3f", "--smooth", "1s", "--csv", folder / "c.csv", "--resume-csv")
        command("count", loaded, video, *words)

    def rows(folder: Path) -> bytes:
        times = [row[1] for row in rows_of(folder / "c.csv")[1:]]
        assert times == [f"{0.3 * number:.3f}" for number in range(10)]
        return (folder / "c.csv").read_bytes()

    survive(count, tmp_path, rows, kills=share(8), name="video")


def answer(port: int, image: bytes) -> bytes | None:
    """What a service answers; None where it was killed meanwhile."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/count", image, {"Content-Type": "application/octet-stream"})
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    assert reply.status == 200, body
    return body


@pytest.mark.slow
def test_a_killed_service_gives_no_half_answer_leaves_no_file_and_answers_when_it_is_started_again(
    tmp_path, monkeypatch
):
    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    photos = [photograph(seed) for seed in range(4)]

    def serve(_folder: Path) -> None:
        service = small_service()
        with service.running():
            Server(service, host="127.0.0.1", port=port, token=None).run()

    draws, answers, kills = random.Random(f"service {SEED}"), [], 0

    def ask() -> None:
        for number in range(10_000):
            if (body := answer(port, photos[number % 4])) is None:
                return
            answers.append((number % 4, body))

    while kills < share(7):
        child = Child(serve, tmp_path / f"service-{kills}")
        until = time.monotonic() + 120
        while answer(port, photos[0]) is None:
            assert time.monotonic() < until, child.said()
            assert not child.wait(0.02), child.said()
        asking = [threading.Thread(target=ask) for _ in range(3)]
        enough = len(answers) + draws.randint(1, 20)
        for thread in asking:
            thread.start()
        while len(answers) < enough:
            assert time.monotonic() < until, child.said()
            time.sleep(0.001)
        time.sleep(draws.uniform(0, 0.02))
        child.kill()
        for thread in asking:
            thread.join(60)
        kills += child.end().killed
    whole = {number: {count_in(body) for which, body in answers if which == number} for number in range(4)}
    assert [len(counts) for counts in whole.values()] == [1, 1, 1, 1]
    assert list(left.iterdir()) == []
    tell(f"service: {kills} kills while 3 clients ask, {len(answers)} answers, all of them whole")


def count_in(body: bytes) -> float:
    return float(json.loads(body)["count"])
