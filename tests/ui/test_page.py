"""What the page's server answers: photographs, parts of them, and a day's mistakes. Nothing here opens a browser."""

import asyncio
import base64
import errno
import io
import json
import os
import threading

import numpy as np
import pytest
from PIL import Image
from pooling_backend import noise
from small_page import asking, small_page
from small_service import PoolingCounter, file_of, flat_png, memory_files, photograph

from sam_mprompt.errors import RunError
from sam_mprompt.ui import photos


def detail(response, status):
    """The sentence of an answer that must be a problem."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    return response.json()["detail"]


def test_an_opened_photograph_is_counted_as_its_counter_counts_it(tmp_path):
    counter, image = PoolingCounter(), photograph(size=(48, 64))
    with asking(small_page(tmp_path, counter=counter)) as client:
        opened = client.open(image, "crowd.png").json()
        assert {key: opened[key] for key in ("name", "width", "height")} == {
            "name": "crowd.png",
            "width": 64,
            "height": 48,
        }
        counted = client.count(opened["id"]).json()
        expected = counter.count(np.asarray(Image.open(io.BytesIO(image))))
        assert counted["count"] == pytest.approx(expected.count)
        assert counted["interval"] == vars(expected.interval())
        np.testing.assert_allclose(counted["points"], expected.points(), atol=0.01)
        calls = len(counter.calls)
        assert client.count(opened["id"]).json() == counted
        assert len(counter.calls) == calls


def test_the_heat_map_covers_the_photograph_and_is_brightest_where_the_heads_are(tmp_path):
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[8:16, 80:88] = 255
    with asking(small_page(tmp_path)) as client:
        heat = client.count(client.opened(file_of(pixels))).json()["heat"]
        layer = np.asarray(Image.open(io.BytesIO(base64.b64decode(heat["png"]))))
        assert layer.shape[2] == 4
        assert (heat["width"], heat["height"]) == (96, 64)
        y, x = np.unravel_index(layer[..., 3].argmax(), layer.shape[:2])
        assert (x / layer.shape[1] * 96, y / layer.shape[0] * 64) == pytest.approx((84, 12), abs=8)


def test_regions_divide_the_count_and_ignored_ones_leave_it(tmp_path):
    left = {"name": "left", "corners": [[0, 0], [32, 0], [32, 48], [0, 48]], "area_m2": 4}
    right = {"name": "", "corners": [[32, 0], [64, 0], [64, 48], [32, 48]], "ignore": True}
    with asking(small_page(tmp_path)) as client:
        photo = client.opened(photograph(size=(48, 64)))
        whole = client.count(photo).json()
        halves = client.count(photo, regions=[left, right]).json()
        (region,) = halves["regions"]["regions"]
        assert halves["count"] == pytest.approx(region["count"])
        assert region["per_m2"] == pytest.approx(region["count"] / 4)
        assert halves["count"] + halves["regions"]["ignored"] == pytest.approx(whole["count"])
        assert (whole["interval"] is None, halves["interval"]) == (False, None)
        crossing = {"name": "bow", "corners": [[0, 0], [9, 9], [9, 0], [0, 9]]}
        assert "Region 'bow'" in detail(client.count(photo, regions=[crossing]), 422)
        assert client.count(photo).json() == whole


def test_the_picture_is_a_jpeg_of_the_photograph_upright(tmp_path):
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, :24] = 255
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    with asking(small_page(tmp_path)) as client:
        opened = client.open(file.getvalue(), "turned.jpg").json()
        assert (opened["width"], opened["height"]) == (32, 48)
        shown = client.get(f"/api/photos/{opened['id']}/picture")
        assert shown.headers["content-type"] == "image/jpeg"
        upright = np.asarray(Image.open(io.BytesIO(shown.content)))
        assert upright.shape[:2] == (48, 32)
        assert upright[:20].min() > 200
        assert upright[28:].max() < 60


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"%PDF-1.7\n" + bytes(100), "a.pdf", "'a.pdf': it is not an image of a known kind"),
        (b"", "empty.jpg", "empty.jpg"),
        (flat_png(30_000, 300), "huge.png", "300x30000 pixels"),
        (bytes(1 << 17), "large.jpg", "at most"),
    ],
)
def test_what_is_no_photograph_is_told_in_one_sentence_and_leaves_nothing(tmp_path, content, name, said):
    with asking(small_page(tmp_path, max_bytes=1 << 16, max_pixels=1 << 20)) as client:
        held = memory_files()
        response = client.open(content, name)
        assert response.status_code in (413, 422)
        assert said in response.json()["detail"]
        assert "\n" not in response.json()["detail"]
        assert "/proc" not in response.text
        assert memory_files() == held
        assert client.count(client.opened(photograph())).status_code == 200


def test_a_damaged_photograph_is_told_by_its_own_name(tmp_path):
    with asking(small_page(tmp_path)) as client:
        photo = client.opened(file_of(noise(100, 100))[:-2000], "cut.png")
        for response in (client.count(photo), client.get(f"/api/photos/{photo}/picture")):
            assert "'cut.png'" in detail(response, 422)
            assert "/proc" not in response.text


def test_the_oldest_photographs_go_and_that_is_told(tmp_path):
    with asking(small_page(tmp_path, photos=2)) as client:
        held = memory_files()
        first, second, third = (client.opened(photograph(seed)) for seed in range(3))
        assert memory_files() == held + 2
        assert "open it again" in detail(client.count(first), 404)
        assert client.count(second).status_code == client.count(third).status_code == 200
    assert memory_files() == held


def test_a_photograph_that_must_go_while_it_is_counted_is_counted_to_its_end(tmp_path):
    counter = PoolingCounter()
    image = photograph(7)
    with asking(small_page(tmp_path, counter=counter, photos=1)) as client:
        held = memory_files()
        photo = client.opened(image)
        counter.gate.clear()
        counter.begun.clear()

        async def crowded_out():
            counted = asyncio.ensure_future(client.http.post(f"/api/photos/{photo}/count", json={"adapter": "station"}))
            while not counter.begun.is_set():
                await asyncio.sleep(0.01)
            for seed in range(3):
                await client.http.post("/api/photos", files={"image": ("b.png", photograph(seed))})
            counter.gate.set()
            return await counted

        counted = asyncio.run(crowded_out())
        assert counted.status_code == 200
        assert memory_files() == held + 1
        assert counted.json()["count"] == client.count(client.opened(image)).json()["count"]


def test_the_text_of_all_requests_is_bounded(tmp_path):
    with asking(small_page(tmp_path, max_bytes=1000, held_bytes=1000)) as client:
        photo = {"adapter": "station", "regions": []}
        text = json.dumps(photo) + " " * 1000
        response = client.post("/api/photos/none/count", content=text)
        assert "the most that is held" in detail(response, 429)
        assert client.post("/api/photos/none/count", photo).status_code == 404


def test_where_there_is_no_room_it_is_told_and_the_next_one_is_taken(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with asking(small_page(tmp_path)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(os, "memfd_create", full)
            assert "No space left on device" in detail(client.open(photograph()), 507)
        assert client.open(photograph()).status_code == 200


def test_more_photographs_than_may_wait_are_told_to_come_again(tmp_path):
    counter = PoolingCounter()
    page = small_page(tmp_path, counter=counter, waiting=2)
    with asking(page) as client:
        opened = [client.opened(photograph(seed)) for seed in range(3)]
        counter.gate.clear()
        threading.Timer(0.3, counter.gate.set).start()
        asked = [client.http.post(f"/api/photos/{one}/count", json={"adapter": "station"}) for one in opened]
        responses = client.run(*asked)
        assert sorted(response.status_code for response in responses) == [200, 200, 429]
        assert all(client.count(one).status_code == 200 for one in opened)


def test_a_counter_that_fails_is_told_and_the_next_photograph_is_counted(tmp_path):
    counter = PoolingCounter()
    with asking(small_page(tmp_path, counter=counter)) as client:
        photo = client.opened(photograph())
        counter.error = RunError("Expected numbers, got none.")
        assert detail(client.count(photo), 507) == "Expected numbers, got none."
        counter.error = MemoryError()
        assert "memory" in detail(client.count(photo), 503)
        counter.error = None
        assert client.count(photo).status_code == 200


def test_an_adapter_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with asking(small_page(tmp_path, "station", "gate")) as client:
        response = client.post(f"/api/photos/{client.opened(photograph())}/count", {"adapter": "statoin"})
        assert "Did you mean 'station'? There are: station, gate." in detail(response, 422)


def test_warnings_and_missing_intervals_name_the_adapter_and_not_its_folder(tmp_path):
    with asking(small_page(tmp_path, counter=PoolingCounter(calibrated=False))) as client:
        counted = client.count(client.opened(photograph())).json()
        assert counted["interval"] is None
        assert counted["why_no_interval"] == "'station' has no calibration: none"


def test_examples_are_opened_by_name_alone(tmp_path):
    with asking(small_page(tmp_path)) as client:
        assert client.get("/api/state").json()["examples"] == ["street"]
        assert client.post("/api/examples", {"name": "street"}).json()["name"] == "street.jpg"
        assert "No example" in detail(client.post("/api/examples", {"name": "../secret"}), 404)


def test_a_request_of_too_much_text_or_of_something_else_is_refused(tmp_path):
    with asking(small_page(tmp_path, max_text_bytes=1000)) as client:
        photo = client.opened(photograph())
        assert "at most 1000 bytes" in detail(client.post(f"/api/photos/{photo}/count", content=b" " * 2000), 413)
        assert "adapter: Field required" in detail(client.post(f"/api/photos/{photo}/count", {}), 422)
        assert "Extra inputs" in detail(client.count(photo, colour="red"), 422)
        assert detail(client.get("/api/nowhere"), 404) == "There is nothing at this address."


def test_a_picture_is_made_once(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(photos, "fit_within", lambda image, side: (made.append(side), image)[1])
    with asking(small_page(tmp_path)) as client:
        photo = client.opened(photograph())
        assert client.get(f"/api/photos/{photo}/picture").content == client.get(f"/api/photos/{photo}/picture").content
    assert made == [4096]
