"""The deployment for Ray Serve counts as `count` does. Ray's two decorators are stand-ins."""

import asyncio
import importlib.util
import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT
from PIL import Image
from pooling_backend import noise
from pooling_file import pooling_file

from sam_mprompt import load

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the folder of a checkout")


def deployed(**_options):
    def mark(made):
        made.bind = made
        return made

    return mark


def batched(max_batch_size, batch_wait_timeout_s):
    def mark(method):
        async def alone(self, item):
            return (await method(self, [item]))[0]

        alone.together = method
        return alone

    return mark


@pytest.fixture
def deployment(tmp_path, monkeypatch):
    pytest.importorskip("starlette")
    ray = ModuleType("ray")
    ray.serve = SimpleNamespace(deployment=deployed, batch=batched)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("CROWD_ADAPTER", str(pooling_file(tmp_path / "a.onnx")))
    spec = importlib.util.spec_from_file_location("deployment", ROOT / "examples" / "ray_serve" / "deployment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png(image):
    made = io.BytesIO()
    Image.fromarray(image).save(made, "png")
    return made.getvalue()


class Request:
    def __init__(self, body, **headers):
        self.content, self.headers = body, {"content-length": str(len(body))} | headers

    async def body(self):
        return self.content


def test_images_that_come_together_are_answered_each_with_its_own_count(deployment, tmp_path):
    images = [noise(90, 70), noise(40, 200, seed=1)]
    bodies = [png(images[0]), b"no image", png(images[1])]
    first, refused, second = asyncio.run(deployment.CrowdCounter.count.together(deployment.app, bodies))
    counter = load(tmp_path / "a.onnx")
    assert [first["count"], second["count"]] == [counter.count(image).count for image in images]
    interval = counter.count(images[0]).interval()
    assert first["interval"] == [interval.low, interval.high]
    assert refused.keys() == {"fault"}
    assert "the image" in refused["fault"]


def test_a_request_is_answered_refused_or_found_too_large(deployment):
    too_large = {"content-length": str(deployment.MOST_BYTES + 1)}
    for request, status in (
        (Request(png(noise(20, 20))), 200), (Request(b"text"), 422), (Request(b"", **too_large), 413)
    ):  # fmt: skip
        assert asyncio.run(deployment.app(request)).status_code == status
