"""Passes of Ray Data over the parts of a job that are not done, until all are.

A pass gives each of these parts to one of some actors, which hold the work. What dies meanwhile, an actor or a whole
node, leaves its part as it was, and the next pass takes it: with the actors that the machines then have room for. Ray's
own retries wait for the place where a lost actor was, which a lost node never gives back.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..allocator import keep_freed_memory
from ..data.packages import needed
from ..errors import RunError, SamMpromptError, UsageError
from .attempts import forgive, learnt
from .job import Job
from .part import Work, do_part

_PARTS_A_PASS = 10_000
"""More parts are given to several passes, so that what Ray keeps of them is bounded."""

_PASSES_IN_VAIN = 3
"""So many passes after which nothing more is done or known end the command."""

_PAUSE_SECONDS = 2.0
_STARTS = 3
_STORE_BYTES = 1 << 28
"""Ray's shared memory on this machine: numbers of parts go through it, never images."""

MakeWork = Callable[[], Work]
"""Makes the work in an actor; sent there by pickle."""

OnPart = Callable[[int, int], None]
"""Called with how many images are done, and how many there are."""


class _Actor:
    """What runs in a process of Ray: the work, made once."""

    def __init__(self, address: str, make: MakeWork, image_seconds: float | None) -> None:
        self._job, self._fault, self._image_seconds = Job.found(address), "", image_seconds
        keep_freed_memory()
        try:
            self._work = make()
        except SamMpromptError as error:  # told by what is returned: of what is raised here Ray keeps a long text
            self._fault = str(error)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Do the one part that a batch names. What nobody foresaw ends the process, so that the next one is clean."""
        images, trouble = 0, ""
        try:
            if not self._fault:
                part = int(batch["part"][0])
                images = do_part(self._job, part, self._work, image_seconds=self._image_seconds).images
        except UsageError as error:  # of this machine: what an image lacks is in its row
            self._fault = str(error)
        except RunError as error:  # a full disk, an object store that does not answer
            trouble = str(error)
        except Exception:
            logging.getLogger(__name__).exception("a part was given up")
            os._exit(1)
        return {"images": [images], "fault": [self._fault], "trouble": [trouble]}


def work_through(
    job: Job,
    make: MakeWork,
    *,
    actors: int | None,
    address: str | None,
    gpu: bool | None,
    on_part: OnPart,
    image_seconds: float | None = None,
) -> None:
    """Do every part of a job that is not done.

    Args:
        job: its folder is one that all machines reach.
        make: makes the work in each actor.
        actors: how many, by default one for each GPU, or where there is none for each core.
        address: of a running cluster, as `ray.init` takes it; None for one of this machine alone.
        gpu: whether each actor takes a GPU; None where there are some.
        on_part: called after each part.
        image_seconds: an actor whose image takes longer ends, and another takes its place; None for no limit.

    Raises:
        UsageError: Ray is not installed, or the work cannot be made.
        RunError: no cluster there, or parts cannot be done.
    """
    forgive(job)
    if not (todo := job.unfinished()):
        return
    with _cluster(address) as ray:
        vain, of = 0, (job.place.address, make, image_seconds)
        while todo and vain < _PASSES_IN_VAIN:
            before = len(todo), learnt(job)
            fault = _pass(ray, job, todo[:_PARTS_A_PASS], _Actors.now(ray, actors, gpu, of), on_part)
            todo = job.unfinished()
            vain = 0 if (len(todo), learnt(job)) != before else vain + 1
            if vain:
                time.sleep(_PAUSE_SECONDS)
    if todo:
        reason = _in_a_line(fault) if fault else "no actor started"
        raise RunError(
            f"{len(todo)} of {len(job.parts)} parts are not done, and {vain} passes brought none further: {reason}."
        ) from fault


class _Actors:
    """How many actors there are, what each takes of its machine, and of what it is made: arguments of `_Actor`."""

    def __init__(self, number: int, gpu: bool, of: tuple[Any, ...]) -> None:
        self.number, self.takes, self.of = number, {"num_gpus": 1} if gpu else {"num_cpus": 1}, of

    @classmethod
    def now(cls, ray: Any, number: int | None, gpu: bool | None, of: tuple[Any, ...]) -> "_Actors":
        """Return as many as were asked for, else as many as there is room for now."""
        room = ray.cluster_resources()
        gpu = room.get("GPU", 0) >= 1 if gpu is None else gpu
        return cls(number or max(1, int(room.get("GPU" if gpu else "CPU", 1))), gpu, of)


def _pass(ray: Any, job: Job, parts: list[int], actors: _Actors, on_part: OnPart) -> Exception | None:
    """Give parts to actors; returns what ended the pass, if something did. UsageError where the work cannot be made."""
    compute = ray.data.ActorPoolStrategy(size=min(actors.number, len(parts)), max_tasks_in_flight_per_actor=2)
    done, trouble = job.images - job.left(), None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*ray_remote_args_fn")
        rows = ray.data.from_items([{"part": number} for number in parts], override_num_blocks=len(parts)).map_batches(
            _Actor,
            fn_constructor_args=actors.of,
            batch_size=1,
            compute=compute,
            ray_remote_args_fn=partial(dict, max_restarts=-1, max_task_retries=0),
            **actors.takes,
        )
        try:
            for row in rows.iter_rows():
                if row["fault"]:
                    raise UsageError(row["fault"])
                if row["trouble"]:
                    trouble = RunError(row["trouble"])
                on_part(done := done + int(row["images"]), job.images)
        except SamMpromptError:
            raise
        except Exception as error:  # Ray's own, of many kinds
            return error
    return trouble


def _in_a_line(error: Exception) -> str:
    """Return what an error of Ray says: below the tracebacks of all processes on its way, in its last line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].rstrip(".")


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine, which ends with the block. Nothing is sent about its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_worker_niceness", "0")  # as this process: else actors wait for all other programs
    ray = needed("ray", "ray", "Counting with Ray")
    needed("ray.data", "ray", "Counting with Ray")
    _connect(ray, address)
    context = ray.data.DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or start one on this machine; on a busy one Ray gives up too early, and is asked again."""
    local = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if address is None else {}
    where = "can be started on this machine" if address is None else f"at '{address}'"
    for left in reversed(range(1 if address else _STARTS)):
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **local)
        except Exception as error:  # of many kinds, plain ones among them
            ray.shutdown()
            if not left:
                raise RunError(f"No Ray cluster {where}: {_in_a_line(error)}.") from error
        else:
            return
