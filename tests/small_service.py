"""A service of NumPy alone, whose counts are known and which waits where a test says so."""

import asyncio
import io
import struct
import threading
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from pooling_backend import PoolingBackend, noise

from sam_mprompt.counting import predict
from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.data.bounds import Reading
from sam_mprompt.geometry import Geometry
from sam_mprompt.serve.app import create_app
from sam_mprompt.serve.limits import Limits
from sam_mprompt.serve.loading import Served
from sam_mprompt.serve.server import Server
from sam_mprompt.serve.service import Service

GEOMETRY = Geometry(max_side=512, min_side=16, tile=64, overlap=16)
KNOWN = Calibration.fit(np.arange(20) + 1.0, np.arange(20) + 1.5)


class PoolingCounter:
    """Counts as `Counter` does, by pooling; each call is noted, and waits for `gate`."""

    def __init__(self, calibrated=True, max_pixels=None):
        self.calls, self.gate, self.begun = [], threading.Event(), threading.Event()
        self.gate.set()
        self.calibration = KNOWN if calibrated else Calibration(missing="'/home/somebody/shb' has no calibration: none")
        self.reading = Reading(max_pixels, reduced=True)
        self.error = None

    def count_many(self, images, *, adapter=None, batch_size=1, on_error=None):
        images = list(images)
        self.calls.append((adapter, len(images)))
        self.begun.set()
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return predict.count_many(
            PoolingBackend(),
            images,
            GEOMETRY,
            batch_size=batch_size,
            reading=self.reading,
            calibration=self.calibration,
            on_error=on_error,
        )

    def count(self, image):
        return next(self.count_many([image]))


def served(counter, *names):
    return {
        name: Served(name, counter, f"inner-{name}", counter.calibration, counter.reading, f"adapters/{name}")
        for name in names or ("station",)
    }


def small_service(counter=None, *names, **limits):
    counter = counter or PoolingCounter()
    limits = Limits(**{"window": 0.0, "timeout": 20.0, **limits})
    return Service(served(counter, *names), limits)


def file_of(pixels, kind="PNG", **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def photograph(seed=0, size=(48, 64), kind="PNG"):
    return file_of(noise(*size, seed), kind)


class Client:
    """Asks a running service without a network."""

    def __init__(self, service, **options):
        self.service = service
        transport = httpx.ASGITransport(create_app(service, **options), raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def count(self, image, *, headers=None, **parameters):
        headers = {"Content-Type": "application/octet-stream"} | (headers or {})
        return await self.http.post("/count", content=image, params=parameters, headers=headers)

    async def form(self, image, **fields):
        return await self.http.post("/count", files={"image": image}, data=fields)

    async def get(self, path, **options):
        return await self.http.get(path, **options)


@contextmanager
def asking(service=None, **options):
    """Yield a client whose coroutines are run by `client.run`."""
    with (service or small_service()).running() as running:
        client = Client(running, **options)
        client.run = asyncio.run
        yield client


def problem(response, status, kind):
    """The detail of an answer that must be a problem of that status and kind."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    details = response.json()
    assert details["status"] == status
    assert details["type"] == f"urn:sam-mprompt:problem:{kind}"
    assert details["request_id"] == response.headers["x-request-id"]
    return details["detail"]


@contextmanager
def started(server):
    """Run a server of uvicorn in a thread, from when it answers to the end of the block."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        yield server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def listening(service, token=None):
    """Yield a server that answers on a port of this machine, and its address."""
    with service.running(), started(Server(service, host="127.0.0.1", port=0, token=token)) as server:
        yield server, f"http://127.0.0.1:{server.addresses[0][1]}"


def open_descriptors():
    """Names of what this process has open, without what the system gives it in passing."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found


def memory_files():
    """How many files of requests are still there."""
    return sum("memfd:sam-mprompt" in name for name in open_descriptors())


def eventually(true, seconds=60.0):
    """Wait until something is so that another thread brings about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def flat_png(height, width):
    """A black PNG of one bit a pixel: small as a file, as large as it says when it is decoded."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packing, row = zlib.compressobj(1), bytes(1 + -(-width // 8))
    rows = b"".join(packing.compress(row) for _ in range(height)) + packing.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
