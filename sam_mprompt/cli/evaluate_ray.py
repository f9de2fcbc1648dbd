"""`evaluate --engine ray`: the counts of an annotated split come out of the tables of a job."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .count_ray import counted_with_ray
from .ray_job import digest_of, from_anywhere, need_packages, table_of
from .ray_options import RayOptions

if TYPE_CHECKING:
    from ..counting.intervals import Interval
    from ..data.sample import Sample
    from ..evaluation.evaluate import Evaluation


def evaluated_with_ray(
    options: RayOptions,
    adapters: str | Sequence[str],
    samples: "Sequence[Sample]",
    asked: Mapping[str, str],
    device: str | None,
    **how: Any,
) -> "Evaluation":
    """Count the images of a split into the tables of a folder, and compare the counts with the annotations.

    Args:
        options: the folder, and with how many processes.
        adapters: one, or all that count together.
        samples: the split.
        asked: the data's folder, as `data`, and what else the split is told from others by.
        device: of each process.
        how: further fields of `HowToCount`.

    Raises:
        UsageError: the folder holds another job; the images of the split are part of what a job is.
        RunError: no image could be counted.
    """
    need_packages()
    from ..distributed.job import IMAGE, QUARANTINED
    from ..distributed.listing import name_of
    from ..distributed.outcome import tables
    from ..evaluation.evaluate import Evaluation, ImageResult

    names = [name_of(sample.image) for sample in samples]
    request = {"work": "evaluate", **asked, "data": from_anywhere(asked["data"]), "images": digest_of(names)}
    job = counted_with_ray(options, adapters, request, lambda: table_of(names), device, **how)
    rows = {row[IMAGE]: row for table in tables(job) for row in table.to_pylist()}
    found = [(sample, rows[name]) for sample, name in zip(samples, names, strict=True)]
    failed = tuple((sample.image, row[QUARANTINED]) for sample, row in found if row[QUARANTINED] is not None)
    results = tuple(
        ImageResult(sample, row["count"], interval=_interval(row, how["level"]))
        for sample, row in found
        if row[QUARANTINED] is None
    )
    if not results:
        raise RunError(f"None of the {len(failed)} images could be counted. The first: {failed[0][1]}")
    return Evaluation(results, failed)


def _interval(row: Mapping[str, Any], level: float) -> "Interval | None":
    from ..counting.intervals import Interval

    return None if row["low"] is None else Interval(row["low"], row["high"], level)
