"""The measurement of the service, in small."""

import pytest
from pooling_backend import noise
from small_service import PoolingCounter, file_of, listening, small_service

from benchmarks.speed.serve import Load, measure


def test_a_service_is_measured_below_and_above_its_capacity(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(2)]
    for seed, path in enumerate(paths):
        path.write_bytes(file_of(noise(48, 64, seed)))
    service = small_service(queue=5, max_batch=2)
    with listening(service) as (_, address):
        through, crowd = measure(address, PoolingCounter(), paths, number=12, batch=2, rounds=1)
    assert through.ratio.median > 0
    assert "p50" in through.note
    assert "one client alone" in through.note
    assert crowd.note.startswith("48 requests, ")
    assert service.admission.inside == 0


def test_quantiles_are_those_of_what_was_counted():
    load = Load(latencies=[0.4, 0.1, 0.2, 0.3], seconds=2.0)
    assert (load.quantile(0.5), load.quantile(0.99), load.rate) == (0.2, 0.4, 2.0)
    assert str(load) == "p50 200 ms, p99 400 ms"


def test_a_service_that_fails_is_no_measurement(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with listening(small_service()) as (_, address), pytest.raises(RuntimeError, match="422"):
        measure(address, _Nothing(), [tmp_path / "a.png"], number=2, batch=1, rounds=1)


class _Nothing:
    def count_many(self, images, **_options):
        return iter(())
