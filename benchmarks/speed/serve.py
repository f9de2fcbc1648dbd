"""The service over loopback against bare `count_many`, and above its capacity: python -m benchmarks.speed.serve

The service runs in a process of its own with the bundled demo adapter, its clients in this one, on the same cores.
At four times its capacity requests come at fixed times whether or not those before them were answered: what it cannot
count it must refuse, at once, and the times of those that it takes must stay bounded.
"""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx

import sam_mprompt
from benchmarks.speed.pairs import Result, Spread
from benchmarks.speed.table import write_row

_EXAMPLES = Path("adapters/demo/examples")
_PATIENCE = 60.0


@dataclass
class Load:
    """What became of requests.

    Attributes:
        statuses: how many answers had each status; 0 for none.
        latencies: seconds of those that were counted.
        seconds: from the first request to the last answer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Images counted per second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Return the latency that a share of what was counted does not exceed, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    def __str__(self) -> str:
        return f"p50 {1000 * self.quantile(0.5):.0f} ms, p99 {1000 * self.quantile(0.99):.0f} ms"


async def _ask(client: httpx.AsyncClient, image: bytes, load: Load) -> None:
    started = time.perf_counter()
    try:
        status = (await client.post("/count", content=image, headers={"Content-Type": "image/jpeg"})).status_code
    except httpx.HTTPError:
        status = 0
    load.statuses[status] += 1
    if status == 200:
        load.latencies.append(time.perf_counter() - started)


async def _closed(client: httpx.AsyncClient, images: Sequence[bytes], load: Load, *, clients: int, number: int) -> None:
    """Let clients ask one request after the other, as many as `number` in all."""
    work = islice(cycle(images), number)

    async def one() -> None:
        for image in work:
            await _ask(client, image, load)

    await asyncio.gather(*(one() for _ in range(clients)))


async def _open(client: httpx.AsyncClient, images: Sequence[bytes], load: Load, *, rate: float, number: int) -> None:
    """Send requests at fixed times."""
    started, sent = time.perf_counter(), []
    for index, image in enumerate(islice(cycle(images), number)):
        await asyncio.sleep(max(0.0, started + index / rate - time.perf_counter()))
        sent.append(asyncio.create_task(_ask(client, image, load)))
    await asyncio.gather(*sent)


def run(address: str, asking: "partial[Coroutine[Any, Any, None]]") -> Load:
    """Return what becomes of the requests that one of the above sends."""

    async def asked() -> Load:
        load, started = Load(), time.perf_counter()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=_PATIENCE, verify=False) as client:
            await asking(client, load=load)
        load.seconds = time.perf_counter() - started
        return load

    return asyncio.run(asked())


def measure(
    address: str, counter: Any, paths: Sequence[Path], *, number: int, batch: int = 8, rounds: int = 3
) -> list[Result]:
    """Measure a service that listens at an address.

    Args:
        address: such as http://127.0.0.1:8000.
        counter: the same one in this process.
        paths: images.
        number: how many are counted in each round.
        batch: images that the service counts at once; twice as many clients ask.
        rounds: of both in turn.
    """
    images = [path.read_bytes() for path in paths]
    through = partial(_closed, images=images, clients=2 * batch, number=number)
    bare, served = list[float](), list[Load]()
    for counted in range(rounds + 1):
        started = time.perf_counter()
        for _ in counter.count_many(islice(cycle(paths), number), batch_size=batch):
            pass
        seconds, load = time.perf_counter() - started, run(address, through)
        if counted:  # the first round warms both up
            bare.append(seconds)
            served.append(load)
    if any(set(load.statuses) != {200} for load in served):
        raise RuntimeError(
            f"expected that all are counted below its capacity, got {[load.statuses for load in served]}"
        )
    most = max(served, key=lambda load: load.rate)
    crowd = run(address, partial(_open, images=images, rate=4 * most.rate, number=4 * number))
    single = run(address, partial(_closed, images=images, clients=1, number=max(4, number // 4)))
    if any(set(load.statuses) != {200} for load in (*served, single)):
        raise RuntimeError(
            f"expected that all are counted below its capacity, got {[load.statuses for load in served]}"
        )
    if not set(crowd.statuses) <= {200, 429}:
        raise RuntimeError(f"expected counts and refusals (429) above its capacity, got {crowd.statuses}")
    refused = crowd.statuses[429] / crowd.statuses.total()
    return [
        Result(
            f"counting over HTTP, {2 * batch} clients, batches of up to {batch}",
            "`count_many` in the same process",
            Spread.of(bare, [load.seconds for load in served]),
            aim=0.9,
            note=f"{most.rate:.1f} images/s; {most}; one client alone {single}",
        ),
        Result(
            "counting over HTTP, requests at 4 times its capacity",
            "at its capacity",
            Spread.once(crowd.rate / most.rate),
            aim=0.8,
            note=f"{crowd.statuses.total()} requests, {100 * refused:.0f} % refused with 429; of the others {crowd}",
        ),
    ]


@contextmanager
def demo_service(*options: str) -> Iterator[str]:
    """Yield the address of a service of the demo adapter that runs in a process of its own."""
    command = [sys.executable, "-m", "sam_mprompt", "serve", "adapters/demo", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = map(json.loads, process.stderr)
        port = next(line["port"] for line in lines if line["event"] == "listening")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=_PATIENCE)


if __name__ == "__main__":
    with demo_service("--max-batch", "8", "--queue", "32") as served_at:
        shown = sorted(_EXAMPLES.glob("*.jpg"))
        write_row("serve", measure(served_at, sam_mprompt.load("adapters/demo"), shown, number=24))
