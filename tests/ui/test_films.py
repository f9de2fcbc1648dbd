"""Videos of the page: counted frame after frame, between photographs, and gone afterwards."""

import asyncio
import threading
from pathlib import Path

import pytest
from small_page import asking, small_page
from small_service import PoolingCounter, eventually, photograph

from sam_mprompt.counting.intervals import Interval
from sam_mprompt.counting.video.series import FrameCount
from sam_mprompt.errors import RunError, UsageError


class Filming(PoolingCounter):
    """Counts a video of five frames, each when it is let."""

    def __init__(self, error=None):
        super().__init__()
        self.let, self.asked, self.closed, self.failing = threading.Semaphore(0), [], threading.Event(), error

    def count_video(self, source, *, every, adapter, notice):
        self.asked.append((Path(source), every, adapter))
        return self.frames()

    def frames(self):
        try:
            for number in range(5):
                assert self.let.acquire(timeout=10)
                if number == 3 and self.failing is not None:
                    raise self.failing
                bar = Interval(number, number + 2, 0.9)
                yield FrameCount(number, float(number), number + 1.0, interval=bar, warnings=("it is dark",))
        finally:
            self.closed.set()


@pytest.fixture(autouse=True)
def _lasting(monkeypatch):
    from sam_mprompt.ui import page

    monkeypatch.setattr(page, "_length", lambda film, served: 5.0)


def send(client, content=b"film"):
    return client.post("/api/videos?name=../square.mp4&adapter=station&every=2s", content=content)


def state(client, number, since=0):
    return client.get(f"/api/videos/{number}?since={since}").json()


def test_counts_come_one_by_one_and_photographs_are_counted_between_them(tmp_path):
    counter = Filming()
    with asking(small_page(tmp_path, counter=counter)) as client:
        film = send(client).json()
        counter.let.release(2)
        eventually(lambda: state(client, film["id"])["frames"] == 2)
        (path, every, adapter), photo = counter.asked[0], client.opened(photograph())
        assert (path.read_bytes(), path.suffix, every, adapter) == (b"film", ".mp4", "2s", "inner-station")
        assert path.parent.parent != tmp_path
        threading.Timer(0.2, counter.let.release, (3,)).start()
        assert client.count(photo).status_code == 200
        eventually(lambda: state(client, film["id"])["state"] == "done")
        told = state(client, film["id"], since=3)
        assert told["rows"] == [[3.0, 4.0, 3, 5], [4.0, 5.0, 4, 6]]
        assert (told["frames"], told["mean"], told["peak"], told["warnings"]) == (5, 3.0, [5.0, 4.0], ["it is dark"])
        assert not path.exists()


def test_a_stopped_video_leaves_nothing_and_keeps_its_counts(tmp_path):
    counter = Filming()
    with asking(small_page(tmp_path, counter=counter)) as client:
        film = send(client).json()
        counter.let.release()
        eventually(lambda: state(client, film["id"])["frames"] == 1)
        client.post(f"/api/videos/{film['id']}/stop")
        counter.let.release()
        eventually(lambda: state(client, film["id"])["state"] == "stopped")
        assert counter.closed.wait(5)
        assert not counter.asked[0][0].exists()
        assert state(client, film["id"])["frames"] >= 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UsageError("Cannot read it."), "Cannot read it."),
        (RunError("It broke."), "It broke."),
        (MemoryError(), "The memory was not enough for this video now."),
        (KeyError("a"), "the terminal of the page says why"),
    ],
)
def test_a_video_that_fails_on_the_way_keeps_what_was_counted(tmp_path, error, said):
    counter = Filming(error)
    counter.let.release(5)
    with asking(small_page(tmp_path, counter=counter)) as client:
        film = send(client).json()
        eventually(lambda: state(client, film["id"])["state"] == "failed")
        told = state(client, film["id"])
        assert said in told["line"]
        assert told["frames"] == 3


def test_what_is_no_video_is_told_by_its_senders_name(tmp_path):
    with asking(small_page(tmp_path)) as client:  # whose counter counts no videos
        client.page.adapters.get("station").counter.count_video = refuse
        film = send(client).json()
        eventually(lambda: state(client, film["id"])["state"] == "failed")
        assert state(client, film["id"])["line"] == "Cannot read '../square.mp4'."


def refuse(source, **_options):
    raise UsageError(f"Cannot read '{source}'.")


def test_a_video_of_too_many_bytes_is_refused_and_not_kept(tmp_path):
    async def pieces():
        for _ in range(100):
            yield bytes(1000)

    with asking(small_page(tmp_path, max_video_bytes=10_000)) as client:
        folder = client.page.films.folder
        assert send(client, bytes(20_000)).status_code == 413  # by its header
        assert send(client, pieces()).status_code == 413  # by what comes
        assert list(folder.iterdir()) == []
    assert not folder.exists()


def test_no_more_videos_are_received_at_a_time_than_the_disk_is_asked_for(tmp_path):
    begun, let = [], asyncio.Event()

    async def slowly():
        begun.append(1)
        yield b"film"
        await let.wait()

    async def four(client):
        path = "/api/videos?name=a.mp4&adapter=station"
        slow = [asyncio.ensure_future(client.http.post(path, content=slowly())) for _ in range(2)]
        while len(begun) < 2:
            await asyncio.sleep(0.01)
        refused = await client.http.post(path, content=b"film")
        let.set()
        received = await asyncio.gather(*slow)
        return [one.status_code for one in (refused, *received, await client.http.post(path, content=b"film"))]

    with asking(small_page(tmp_path, counter=Filming())) as client:
        assert asyncio.run(four(client)) == [429, 200, 200, 200]


def test_the_end_of_the_page_deletes_what_it_kept(tmp_path):
    counter = Filming()
    with asking(small_page(tmp_path, counter=counter)) as client:
        send(client)
        eventually(lambda: counter.asked)
        folder = client.page.films.folder
        counter.let.release()
    assert not folder.exists()


def test_a_video_that_is_not_held_is_told(tmp_path):
    with asking(small_page(tmp_path)) as client:
        assert "open it again" in client.get("/api/videos/none").json()["detail"]
