"""A disk that is really full: a small one of this machine's memory, which only root may mount."""

import json
import subprocess
import tempfile
from contextlib import suppress

import pytest
from faults.disks import mounted
from pooling_backend import noise
from small_page import asking, small_page
from small_service import eventually, file_of, photograph

from sam_mprompt.ui.learner import Lesson
from sam_mprompt.ui.training import RUNNING, Trainings

SIZE = 1 << 20
LARGE = file_of(noise(800, 800))


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no small disk can be made here: {error.strerror}")
    if mounted.returncode:
        pytest.skip(f"no small disk can be made here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    """Take all that is left of a disk, and return the file that has it."""
    taken = disk / "taken"
    with pytest.raises(OSError, match="No space left"):
        taken.write_bytes(bytes(SIZE))
    return taken


def fill_slowly(taken):
    """Take all that is left of a disk on which others write, piece by piece."""
    with taken.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))


def full(response):
    """Whether an answer says that the disk is full."""
    return response.status_code == 507 and "No space left on device" in response.json()["detail"]


def save(client, photo):
    return client.post("/api/datasets/market/photos", {"photo": photo, "points": [[1, 2]]})


def test_a_photograph_for_which_there_is_no_room_is_not_in_the_dataset_and_the_next_one_is(disk):
    assert len(LARGE) > SIZE
    with asking(small_page(disk)) as client:
        assert full(save(client, client.opened(LARGE)))
        assert client.get("/api/state").json()["datasets"] == []
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        assert save(client, client.opened(photograph())).status_code == 200
        taken = fill(disk)
        assert full(save(client, client.opened(photograph(1), "b.png")))
        taken.unlink()
        (one,) = client.get("/api/state").json()["datasets"]
        assert one["photos"] == [{"file": "a.png", "heads": 1}]


def test_a_video_for_which_there_is_no_room_is_told_and_leaves_the_disk_as_it_was(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(disk))

    async def pieces():
        for _ in range(40):
            yield bytes(SIZE // 20)

    with asking(small_page(tmp_path)) as client:
        assert full(client.post("/api/videos?name=a.mp4&adapter=station", content=pieces()))
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        sent = client.post("/api/videos?name=a.mp4&adapter=station", content=bytes(1000))
        assert (sent.status_code, sent.json()["name"]) == (200, "a.mp4")  # that it is no video is found out later


def test_a_training_for_which_there_is_no_room_is_told_and_does_not_begin(disk):
    with asking(small_page(disk)) as client:
        assert save(client, client.opened(photograph())).status_code == 200
        taken = fill(disk)
        assert full(client.post("/api/training", {"dataset": "market"}))
        assert client.get("/api/training").json()["phase"] == "idle"
        assert client.count(client.opened(photograph(2))).status_code == 200
        taken.unlink()
        assert client.get("/api/state").json()["runs"] == []


@pytest.mark.slow
def test_a_training_whose_disk_fills_says_so_and_goes_on_from_its_state_when_there_is_room(tmp_path, crowd_folder):
    with mounted(tmp_path / "disk", 256 << 20) as root:
        trainings = Trainings(root, lambda name: None)
        settings = ("train.workers=0", "train.save_minutes=0.01", "train.epochs=400", "train.validate_every=400")
        lesson = Lesson(data=str(crowd_folder), format="json", run=str(root / "market"), overrides=settings)
        trainings.start(lesson, "market")
        saved = root / "market" / "state" / "progress.json"
        eventually(lambda: trainings.progress.done > 20 or trainings.progress.phase not in RUNNING, 300)
        taken = root / "taken"
        fill_slowly(taken)
        eventually(lambda: trainings.progress.phase not in RUNNING, 300)
        assert trainings.progress.phase == "failed"
        assert "No space left on device" in trainings.progress.line
        assert "\n" not in trainings.progress.line
        (run,) = trainings.all()
        assert run.resumable
        steps = json.loads(saved.read_text())["progress"]["step"]
        assert steps > 0
        taken.unlink()
        trainings.resume("market", lambda name: crowd_folder)
        eventually(lambda: trainings.progress.loss is not None, 300)
        trainings.stop()
        eventually(lambda: trainings.progress.phase == "stopped", 300)
        assert json.loads(saved.read_text())["progress"]["step"] > steps
