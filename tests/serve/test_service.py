"""A request from its first byte to its answer."""

import asyncio
import base64
import io
import json
import time

import numpy as np
import pytest
from PIL import Image
from pooling_backend import noise
from small_service import (
    PoolingCounter,
    asking,
    eventually,
    file_of,
    memory_files,
    photograph,
    problem,
    small_service,
)

from sam_mprompt.errors import RunError

WHOLE = [[0, 0], [64, 0], [64, 48], [0, 48], [0, 0]]
LEFT = [[0, 0], [32, 0], [32, 48], [0, 48], [0, 0]]


def geojson(*regions):
    features = [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for properties, ring in regions
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.fixture
def client():
    with asking(small_service(None, "station", "gate")) as asked:
        yield asked


def test_an_image_as_body_or_in_a_form_gives_the_count_that_the_counter_gives_alone(client):
    pixels = noise(48, 64)
    expected = PoolingCounter().count(pixels)
    for response in (
        client.run(client.count(file_of(pixels))),
        client.run(client.form(file_of(pixels))),
        client.run(client.count(file_of(pixels), headers={"Content-Type": "application/x-www-form-urlencoded"})),
    ):
        assert response.status_code == 200
        found = response.json()
        assert found["count"] == pytest.approx(expected.count, rel=1e-9)
        assert (found["adapter"], found["width"], found["height"]) == ("station", 64, 48)
        assert found["interval"] == pytest.approx(vars(expected.interval(0.9)))
        assert (found["why_no_interval"], found["points"], found["regions"], found["overlay"]) == (None,) * 4
        assert found["warnings"] == []


def test_an_adapter_is_asked_for_by_name(client):
    assert client.run(client.count(photograph(), adapter="gate")).json()["adapter"] == "gate"
    assert client.run(client.form(photograph(), adapter="gate")).json()["adapter"] == "gate"
    missing = problem(client.run(client.count(photograph(), adapter="statoin")), 404, "no-such-adapter")
    assert missing == "No adapter 'statoin'. Did you mean 'station'? There are: station, gate."


def test_points_are_those_of_the_result(client):
    pixels = noise(48, 64)
    points = client.run(client.count(file_of(pixels), points="true")).json()["points"]
    assert points == pytest.approx(np.round(PoolingCounter().count(pixels).points().astype(float), 2))
    assert len(points) > 5


def test_an_interval_that_there_is_not_says_why_without_a_folder_of_this_machine():
    with asking(small_service(PoolingCounter(calibrated=False))) as client:
        found = client.run(client.count(photograph())).json()
    assert found["interval"] is None
    assert found["why_no_interval"] == "'station' has no calibration: none"


def test_a_level_changes_the_interval_and_one_above_what_is_known_says_so(client):
    narrow, wide, none = (client.run(client.count(photograph(), level=level)).json() for level in (0.5, 0.9, 0.99))
    assert narrow["interval"]["level"] == 0.5
    assert wide["interval"]["low"] <= narrow["interval"]["low"]
    assert none["interval"] is None
    assert none["why_no_interval"]


def test_regions_are_counted_and_ignore_zones_leave_the_count(client):
    pixels = noise(48, 64)
    result = PoolingCounter().count(pixels)
    regions = geojson(({"name": "left", "area_m2": 12}, LEFT))
    left = result.density[:, :8].sum()
    found = client.run(client.form(file_of(pixels), regions=regions)).json()
    (region,) = found["regions"]["regions"]
    assert region["count"] == pytest.approx(left, rel=1e-5)
    assert region["per_m2"] == pytest.approx(left / 12, rel=1e-5)
    assert found["count"] == pytest.approx(result.count)
    assert found["interval"]
    zone = geojson(({"ignore": True}, LEFT))
    found = client.run(client.count(file_of(pixels), regions=zone, points="true")).json()
    assert found["count"] == pytest.approx(result.count - left, rel=1e-5)
    assert found["interval"] is None
    assert "ignore zones" in found["why_no_interval"]
    assert min(x for x, _ in found["points"]) >= 32


def test_regions_may_come_as_a_file_and_name_the_image_that_they_belong_to(client):
    regions = geojson(({"name": "a", "image": "one.png"}, LEFT), ({"name": "b", "image": "two.png"}, LEFT))

    async def sent():
        files = {"image": ("folder\\one.png", photograph()), "regions": ("r.geojson", regions.encode())}
        return await client.http.post("/count", files=files)

    assert [region["name"] for region in client.run(sent()).json()["regions"]["regions"]] == ["a"]


def test_what_is_told_of_regions_is_a_warning_of_the_answer(client):
    overlapping = geojson(({"name": "a"}, WHOLE), ({"name": "b"}, LEFT))
    warnings = client.run(client.form(photograph(), regions=overlapping)).json()["warnings"]
    assert warnings == ["Regions overlap ('a' and 'b'): their counts add up to more people than there are."]


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ("no regions", "regions"),
        (geojson(({"name": "far"}, [[900, 900], [990, 900], [990, 990], [900, 900]])), "far"),
        (geojson(({}, LEFT)), "'regions' features[0]: expected a property 'name'"),
    ],
)
def test_regions_that_cannot_be_used_are_told(client, regions, said):
    detail = problem(client.run(client.form(photograph(), regions=regions)), 422, "unusable-regions")
    assert said in detail
    assert "/proc" not in detail


def test_a_dark_image_of_16_bits_is_told_and_so_is_a_smaller_copy():
    dark = file_of(np.full((48, 64), 900, np.uint16))
    with asking(small_service()) as client:
        (line,) = client.run(client.form(("night.png", dark))).json()["warnings"]
    assert line.startswith("Image 'night.png' uses 10 of its 16 bits")
    large = file_of(noise(1200, 1600), "JPEG")
    with asking(small_service(PoolingCounter(max_pixels=1_000_000), max_pixels=1_000_000)) as client:
        found = client.run(client.form(("wide.jpg", large))).json()
    assert (found["width"], found["height"]) == (1600, 1200)
    assert "a smaller copy of 800x600 is read" in found["warnings"][0]


@pytest.mark.parametrize(("kind", "name"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_a_picture_is_the_answer_where_it_is_accepted_and_base64_where_it_is_asked_for(client, kind, name):
    response = client.run(client.count(photograph(), headers={"Accept": kind}))
    assert response.headers["content-type"] == kind
    assert float(response.headers["x-count"]) == pytest.approx(PoolingCounter().count(noise(48, 64)).count, abs=1e-3)
    overlay = client.run(client.count(photograph(), overlay=name.lower())).json()["overlay"]
    assert overlay["media_type"] == kind
    for content in (response.content, base64.b64decode(overlay["base64"])):
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.size) == (name, (64, 48))


def test_a_picture_is_no_larger_than_the_limit():
    with asking(small_service(overlay_side=32)) as client:
        response = client.run(client.count(photograph(), headers={"Accept": "image/png"}, points="true"))
    with Image.open(io.BytesIO(response.content)) as picture:
        assert picture.size == (32, 24)


def test_a_form_of_an_answer_that_there_is_not_is_refused(client):
    assert "text/html" in problem(
        client.run(client.count(photograph(), headers={"Accept": "text/html"})), 406, "not-acceptable"
    )
    assert client.run(client.count(photograph(), headers={"Accept": "text/html, */*;q=0.1"})).status_code == 200


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"levl": "0.5"}, "Did you mean 'level'?"),
        ({"level": "90"}, "less than 1; got '90'"),
        ({"points": "1"}, "points: expected true or false; got '1'."),
        ({"overlay": "gif"}, "'png' or 'jpeg'"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_told_in_query_and_form_alike(client, parameters, said):
    assert said in problem(client.run(client.count(photograph(), **parameters)), 422, "invalid-value")
    assert said in problem(client.run(client.form(photograph(), **parameters)), 422, "invalid-value")


def test_a_form_goes_before_the_query_and_a_field_twice_is_refused(client):
    async def sent(query, fields):
        return await client.http.post(f"/count?{query}", files=[("image", photograph()), *fields])

    found = client.run(sent("level=0.5&points=true", [("level", (None, "0.6"))])).json()
    assert found["interval"]["level"] == 0.6
    assert found["points"]
    twice = client.run(sent("", [("level", (None, "0.6")), ("level", (None, "0.7"))]))
    assert "level: expected it once" in problem(twice, 422, "invalid-value")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.7\n1 0 obj\n", "it is not an image of a known kind. Expected JPEG, PNG"),
        (b"", "the file is empty"),
        (photograph()[:-40], "truncated or broken"),
        (photograph()[:30], "'image'"),
    ],
    ids=["pdf", "empty", "cut", "cut in its header"],
)
def test_what_is_no_image_is_told_by_the_name_that_its_sender_knows(client, content, said):
    detail = problem(client.run(client.count(content)), 422, "unusable-image")
    assert said in detail
    assert "/proc" not in detail
    if content:
        assert "'a.jpg'" in problem(client.run(client.form(("a.jpg", content))), 422, "unusable-image")


def test_an_image_that_is_cut_does_not_fail_those_that_are_counted_with_it():
    counter = PoolingCounter()
    counter.gate.clear()
    with asking(small_service(counter)) as client:

        async def together():
            first = asyncio.create_task(client.count(photograph()))
            await asyncio.to_thread(counter.begun.wait)
            others = [client.count(image) for image in (photograph(1), photograph()[:-40], photograph(2))]
            waiting = [asyncio.create_task(other) for other in others]
            while client.service.waiting < 3:
                await asyncio.sleep(0.001)
            counter.gate.set()
            return await asyncio.gather(first, *waiting)

        statuses = [response.status_code for response in client.run(together())]
    assert statuses == [200, 200, 422, 200]
    assert counter.calls == [("inner-station", 1), ("inner-station", 3)]


def test_other_types_and_broken_forms_are_refused(client):
    pdf = client.run(client.count(b"%PDF", headers={"Content-Type": "application/pdf"}))
    assert "application/pdf" in problem(pdf, 415, "not-an-image")
    broken = client.run(client.count(b"--x", headers={"Content-Type": "multipart/form-data"}))
    assert "boundary" in problem(broken, 400, "broken-form")

    async def without():
        return await client.http.post("/count", files={"picture": photograph()})

    assert "'picture'" in problem(client.run(without()), 422, "invalid-value")


def test_too_many_bytes_are_refused_before_they_are_read_and_while_they_are():
    with asking(small_service(max_bytes=1000)) as client:
        read = []

        async def chunks():
            for _ in range(100):
                read.append(500)
                yield b"x" * 500

        async def sent(headers):
            return await client.http.post("/count", content=chunks(), headers=headers)

        declared = client.run(sent({"Content-Length": "50000"}))
        assert "at most 1000 bytes, got 50000" in problem(declared, 413, "too-many-bytes")
        assert read == []
        assert "got more" in problem(client.run(sent({})), 413, "too-many-bytes")
        assert len(read) == 3
        assert "at most 1000 bytes" in problem(client.run(client.form(b"x" * 1001)), 413, "too-many-bytes")
        assert client.service.admission.bytes == 0


def test_a_picture_of_too_many_pixels_is_refused_without_being_decoded():
    counter = PoolingCounter(max_pixels=10_000)
    with asking(small_service(counter, max_pixels=10_000)) as client:
        detail = problem(client.run(client.count(photograph(size=(101, 100)))), 422, "too-many-pixels")
    assert "has 100x101 pixels, more than the 10000 accepted" in detail
    assert counter.calls == []


def test_a_service_that_is_full_refuses_and_says_when_to_come_again():
    counter = PoolingCounter()
    counter.gate.clear()
    with asking(small_service(counter, queue=3)) as client:

        async def crowd():
            inside = [asyncio.create_task(client.count(photograph(seed))) for seed in range(3)]
            while client.service.admission.inside < 3:
                await asyncio.sleep(0.001)
            refused = await client.count(photograph())
            counter.gate.set()
            return refused, await asyncio.gather(*inside)

        refused, answered = client.run(crowd())
        assert "as many as are taken at a time" in problem(refused, 429, "queue-full")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert [response.status_code for response in answered] == [200] * 3
        assert client.run(client.count(photograph())).status_code == 200


def test_the_bytes_of_all_requests_are_bounded():
    counter = PoolingCounter()
    counter.gate.clear()
    image = photograph()
    with asking(small_service(counter, max_bytes=len(image), held_bytes=len(image) + 10)) as client:

        async def two():
            first = asyncio.create_task(client.count(image))
            await asyncio.to_thread(counter.begun.wait)
            second = await client.count(image)
            counter.gate.set()
            return await first, second

        first, second = client.run(two())
    assert first.status_code == 200
    assert "the most that is held" in problem(second, 429, "queue-full")


def test_a_request_whose_turn_does_not_come_is_told_to_try_again_and_one_that_takes_too_long_is_not():
    counter = PoolingCounter()
    counter.gate.clear()
    with asking(small_service(counter, timeout=1.0)) as client:

        async def slow():
            first = asyncio.create_task(client.count(photograph()))
            await asyncio.to_thread(counter.begun.wait)
            return await asyncio.gather(first, client.count(photograph(1)))

        counted, queued = client.run(slow())
        assert "within 1 s" in problem(counted, 504, "timeout")
        assert "the turn of this request did not come" in problem(queued, 503, "queue-timeout")
        assert int(queued.headers["retry-after"]) >= 1
        assert client.service.waiting == 0
        counter.gate.set()
        assert client.run(client.count(photograph())).status_code == 200
    assert counter.calls == [("inner-station", 1), ("inner-station", 1)]


def test_a_body_that_does_not_come_is_not_waited_for():
    async def never():
        yield b"x"
        await asyncio.sleep(60)

    with asking(small_service(timeout=0.1)) as client:
        started = time.monotonic()
        response = client.run(client.count(never()))
    assert "within 0.1 s" in problem(response, 408, "slow-request")
    assert time.monotonic() - started < 5


def test_counting_that_fails_is_an_answer_and_the_next_request_is_counted():
    counter = PoolingCounter()
    with asking(small_service(counter)) as client:
        counter.error = RunError("The density holds NaN.")
        assert problem(client.run(client.count(photograph())), 500, "counting-failed") == "The density holds NaN."
        counter.error = MemoryError()
        assert "not enough" in problem(client.run(client.count(photograph())), 503, "memory")
        counter.error = ValueError("a path of this machine")
        assert "a path" not in problem(client.run(client.count(photograph())), 500, "fault")
        counter.error = None
        assert client.run(client.count(photograph())).status_code == 200


def test_nothing_is_left_of_requests_however_they_end():
    counter = PoolingCounter(max_pixels=4000)
    before = memory_files()
    with asking(small_service(counter, max_pixels=4000)) as client:
        for image in (photograph(), photograph()[:-40], photograph(size=(101, 100)), b"no image"):
            client.run(client.count(image, points="true", overlay="png", regions=geojson(({"name": "a"}, LEFT))))
        counter.error = RunError("no")
        client.run(client.count(photograph()))
        assert (client.service.admission.inside, client.service.admission.bytes) == (0, 0)
        eventually(lambda: memory_files() == before)
