"""What a service tells of itself in Prometheus's format: requests, refusals, batches, the queue and times."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ..version import __version__

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one service; each has a registry of its own, so that several may live in one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sam_mprompt_requests", "Requests that were answered.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "sam_mprompt_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.images = Counter("sam_mprompt_images", "Images that were counted.", ["adapter"], registry=registry)
        self.batch_images = Histogram(
            "sam_mprompt_batch_images", "Images that were counted at once.", buckets=_IMAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "sam_mprompt_batch_seconds", "Time to count them.", buckets=_SECONDS, registry=registry
        )
        self.waited = Histogram("sam_mprompt_queue_seconds", "Time in the queue.", buckets=_SECONDS, registry=registry)
        version = Gauge("sam_mprompt_info", "The version, as a label.", ["version"], registry=registry)
        version.labels(__version__).set(1)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Tell a number that is looked up whenever somebody asks."""
        Gauge(f"sam_mprompt_{name}", what, registry=self._registry).set_function(value)

    def batch(self, images: int, seconds: float) -> None:
        """Note what was counted at once."""
        self.batch_images.observe(images)
        self.batch_seconds.observe(seconds)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Note a request that was answered."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def page(self) -> bytes:
        """Return all of them as Prometheus reads them."""
        return generate_latest(self._registry)
