"""Works that cannot be made; as a program, it tells how a job of one ends: `python unmade_work.py JOB refused`."""

import sys

from small_job import job_at

from sam_mprompt.distributed.passes import work_through
from sam_mprompt.errors import RunError, UsageError


def refused():
    raise UsageError("no such adapter here")


def broken():
    raise OSError("no library")


def main(address, make):
    try:
        work_through(job_at(address), make, actors=1, address=None, gpu=False, on_part=lambda *_: None)
    except (UsageError, RunError) as error:
        sys.stdout.write(f"{type(error).__name__} {error}\n")


if __name__ == "__main__":
    import unmade_work  # by this name actors find it, too

    main(sys.argv[1], getattr(unmade_work, sys.argv[2]))
