"""Ray itself: actors and nodes die, and every image has one row all the same."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import unmade_work
from pooling_file import pooling_file
from slow_work import SlowCounting, SlowMasking, SlowWork, processes
from small_job import job_at, photographs
from small_whole_sam import write_whole_sam

from sam_mprompt.data.image import read_image
from sam_mprompt.data.masks import mask_path, read_mask
from sam_mprompt.deploy.load import load
from sam_mprompt.distributed.counting import HowToCount
from sam_mprompt.distributed.outcome import concluded, tables
from sam_mprompt.distributed.passes import work_through
from sam_mprompt.masks.folder import Annotated, MaskFolder
from sam_mprompt.masks.how import HowToMask

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_folder")]
IMAGES = [f"{number:03}.png" for number in range(40)]
PATIENCE = 300


@pytest.fixture
def told(tmp_path):
    (tmp_path / "told").mkdir()
    return tmp_path / "told"


def disturbed(job, told, disturb, *, make=None, address=None):
    """Do a job, by default of slow work; `disturb` is called in a thread, as soon as two processes work.

    It is given the nodes by process.
    """

    def watch():
        deadline = time.monotonic() + PATIENCE
        while len(processes(told)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        disturb(processes(told))
        at_that_time.append(job.left())

    at_that_time: list[int] = []
    thread = threading.Thread(target=watch)
    thread.start()
    seen: list[tuple[int, int]] = []
    work_through(
        job,
        make or partial(SlowWork, told),
        actors=2,
        address=address,
        gpu=False,
        on_part=lambda done, in_all: seen.append((done, in_all)),
    )
    thread.join()
    assert at_that_time[0] > 0, "the job was done before anything was killed"
    return seen


def test_actors_are_killed_and_an_image_kills_others_and_every_image_has_one_row(tmp_path, told):
    job = job_at(tmp_path / "job", [*IMAGES, "poison.png"], part_size=2)
    killed = []

    def kill(running):
        killed.extend(running)
        for number in running:
            os.kill(number, signal.SIGKILL)

    seen = disturbed(job, told, kill)
    outcome = concluded(job)
    assert (outcome.images, outcome.quarantined) == (41, 1)
    assert outcome.first == (("poison.png", "the process that worked on it ended 3 times"),)
    assert len(killed) == 2
    assert set(processes(told)) > set(killed)
    assert seen[-1] == (41, 41)


def test_a_node_is_lost_and_every_image_has_one_row(tmp_path, told):
    from ray.cluster_utils import Cluster

    job = job_at(tmp_path / "job", IMAGES, part_size=2)
    small = {"num_cpus": 1, "object_store_memory": 1 << 27, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=small, shutdown_at_exit=False)
    try:
        other = cluster.add_node(num_cpus=1, object_store_memory=1 << 27)
        nodes = []

        def lose(running):
            nodes.extend(set(running.values()))
            cluster.remove_node(other, allow_graceful=False)

        disturbed(job, told, lose, address=cluster.address)
    finally:
        cluster.shutdown()
    assert len(nodes) == 2
    outcome = concluded(job)
    assert (outcome.images, outcome.quarantined) == (40, 0)


def test_actors_are_killed_and_the_heads_of_every_image_are_in_its_one_row(tmp_path, told):
    adapter, photos = str(pooling_file(tmp_path / "a.onnx")), photographs(tmp_path / "photos", 20)
    how = HowToCount((adapter,), points=True)
    job = job_at(tmp_path / "job", sorted(map(str, photos.iterdir())), part_size=2)
    make = partial(SlowCounting, told, how, how.request()["fingerprints"], "cpu")
    disturbed(job, told, lambda running: [os.kill(number, signal.SIGKILL) for number in running], make=make)
    rows = [row for table in tables(job) for row in table.to_pylist()]
    assert [row["image"] for row in rows] == sorted(map(str, photos.iterdir()))
    counter = load(adapter)
    for row in rows:
        expected = counter.count(row["image"]).points()
        assert len(expected) > 0
        assert np.array_equal(np.array([row["x"], row["y"]], np.float32).T, expected)


@pytest.mark.parametrize("source", ["segmenter", "sam"])
def test_actors_are_killed_and_every_image_has_its_mask_made_once(source, crowd_folder, trained_run, tmp_path, told):
    base = write_whole_sam(tmp_path / "sam.pth")
    how = HowToMask(source, run=trained_run, base=str(base))
    read, out = partial(Annotated.read, crowd_folder), tmp_path / "masks"
    folder = MaskFolder(out, read())
    settings = how.maker("cpu").settings
    folder.begin(settings)
    images = sorted(str(sample.image) for sample in folder.images.samples)
    job = job_at(tmp_path / "job", images, part_size=2)
    at_the_kill = {}

    def kill(running):
        deadline = time.monotonic() + PATIENCE
        while not list(out.glob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in running:
            os.kill(number, signal.SIGKILL)
        at_the_kill.update({mask: mask.stat().st_mtime_ns for mask in out.glob("*.png")})

    disturbed(job, told, kill, make=partial(SlowMasking, told, how, "cpu", read, out))
    assert [row["image"] for table in tables(job) for row in table.to_pylist()] == images
    assert 0 < len(at_the_kill) < len(images), "the kill came before or behind the masks"
    assert {mask: mask.stat().st_mtime_ns for mask in at_the_kill} == at_the_kill, "a mask was made twice"
    folder.begin(settings)  # as the same command begins: what was half is gone
    assert sorted(out.iterdir()) == sorted([out / "masks.json", *(out / f"{Path(image).name}" for image in images)])
    for sample in folder.images.samples:
        expected = how.maker("cpu")(read_image(sample.image), sample)
        assert np.array_equal(read_mask(mask_path(out, sample.image, crowd_folder), sample.size), expected)


def test_an_image_that_hangs_is_quarantined_in_time_and_every_other_image_has_its_row(tmp_path, told):
    job = job_at(tmp_path / "job", [*IMAGES[:9], "hangs.png"], part_size=2)
    work_through(
        job,
        partial(SlowWork, told, 0.0),
        actors=1,
        address=None,
        gpu=False,
        on_part=lambda *_: None,
        image_seconds=5.0,
    )
    outcome = concluded(job)
    assert (outcome.images, outcome.quarantined) == (10, 1)
    assert outcome.first == (("hangs.png", "the process that worked on it ended 3 times: no result within 5 s"),)
    assert len(processes(told)) > 1


@pytest.mark.parametrize(
    ("work", "told"),
    [
        ("refused", r"UsageError no such adapter here"),
        ("broken", r"RunError 3 of 3 parts are not done, and 3 passes brought none further: .*no library\."),
    ],
)
def test_a_work_that_cannot_be_made_ends_the_command_with_its_own_line(tmp_path, work, told):
    words = [sys.executable, unmade_work.__file__, str(tmp_path / "job"), work]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(told, ended.stdout.strip()), ended.stdout
