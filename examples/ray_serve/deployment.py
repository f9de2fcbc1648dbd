"""Counts people by Ray Serve: pip install 'ray[serve]', then

    CROWD_ADAPTER=demo.onnx serve run deployment:app
    curl --data-binary @street.jpg http://127.0.0.1:8000/

`CROWD_ADAPTER` is an adapter's folder or name, or an exported file. Each replica holds one counter, and images that
come within 5 ms are counted together. `sam-mprompt serve` bounds bytes, pixels and waiting, asks for a token and says
how it fares; here those are Ray's, or whatever stands before it.
"""

import asyncio
import os
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from sam_mprompt import UsageError, load
from sam_mprompt.serve.memory_file import MemoryFile

MOST_BYTES, MOST_PIXELS, BATCH = 32_000_000, 1 << 26, 8


@serve.deployment(num_replicas=1, max_ongoing_requests=4 * BATCH, max_queued_requests=64)
class CrowdCounter:
    """One counter, loaded once.

    Args:
        adapter: an adapter's folder or name, or an exported file.
    """

    def __init__(self, adapter: str) -> None:
        self.counter = load(adapter, max_pixels=MOST_PIXELS)

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.005)
    async def count(self, images: list[bytes]) -> list[dict[str, Any]]:
        """Return an answer to each of some image files, in their order."""
        return await asyncio.to_thread(self._counted, images)

    def _counted(self, images: list[bytes]) -> list[dict[str, Any]]:
        files = [MemoryFile(image) for image in images]
        answers: dict[str, dict[str, Any]] = {}

        def refuse(image: Any, error: UsageError) -> None:
            answers[str(image)] = {"fault": str(error).replace(str(image), "the image")}

        paths = [file.path for file in files]
        for result in self.counter.count_many(paths, batch_size=BATCH, on_error=refuse):
            interval = result.interval()
            ends = None if interval is None else [interval.low, interval.high]
            answers[str(result.image)] = {"count": result.count, "interval": ends}
        for file in files:
            file.release()
        return [answers[str(path)] for path in paths]

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer a request whose body is an image file."""
        if int(request.headers.get("content-length", MOST_BYTES + 1)) > MOST_BYTES:
            return JSONResponse({"fault": f"expected an image of at most {MOST_BYTES} bytes"}, 413)
        answer = await self.count(await request.body())
        return JSONResponse(answer, 422 if "fault" in answer else 200)


app = CrowdCounter.bind(os.environ.get("CROWD_ADAPTER", "adapters/demo"))
