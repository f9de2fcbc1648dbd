"""`count --engine ray`: images of folders and object stores, counted by many processes into the tables of a folder."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .image_paths import expand
from .ray_job import from_anywhere, need_packages, say_quarantined, table_of, worked_through
from .ray_options import RayOptions
from .ui import messages, print_json, print_text, say
from .video_options import VideoOptions
from .video_request import Outputs

if TYPE_CHECKING:
    import pyarrow as pa

    from ..distributed.job import Job
    from ..distributed.outcome import Outcome


def count_with_ray(
    options: RayOptions,
    adapters: str | Sequence[str],
    paths: Sequence[str],
    device: str | None,
    *,
    as_json: bool,
    **how: Any,
) -> None:
    """Count the images of paths into the tables of a folder, and say what became of them.

    Args:
        options: the folder, and with how many processes.
        adapters: one, or all that count together.
        paths: images, folders and globs of this machine, or addresses of object stores.
        device: of each process.
        as_json: print JSON instead of lines.
        how: further fields of `HowToCount`.
    """
    need_packages()
    from ..distributed.outcome import concluded

    asked = {"work": "count", "paths": [from_anywhere(path) for path in paths]}
    job = counted_with_ray(options, adapters, asked, partial(_listed, paths), device, **how)
    tell(concluded(job), as_json=as_json)


def counted_with_ray(
    options: RayOptions,
    adapters: str | Sequence[str],
    asked: Mapping[str, Any],
    listed: "Callable[[], pa.Table]",
    device: str | None,
    **how: Any,
) -> "Job":
    """Count the images of a list, and return the job, which is done.

    Args:
        options: the folder, and with how many processes.
        adapters: one, or all that count together.
        asked: what else the job is told from others by.
        listed: makes the list.
        device: of each process.
        how: further fields of `HowToCount`.
    """
    from ..distributed.counting import Counting, HowToCount

    names = [adapters] if isinstance(adapters, str) else adapters
    if how.get("base") is not None:
        how |= {"base": from_anywhere(how["base"])}
    counting = HowToCount(adapters=tuple(map(from_anywhere, names)), points=options.points_column, **how)
    request = {**asked, **counting.request()}
    work = partial(Counting, counting, request["fingerprints"], device)
    return worked_through(options, request, listed, work, gpu=None if device is None else "cuda" in device)


def only_local(made: Outputs, of_video: VideoOptions, others: Sequence[str] | None) -> dict[str, object]:
    """Return the values of the options of `count` that tables of counts have no place for, by name."""
    given = {"--adapter": others, "--csv": made.csv_file, "--resume-csv": made.resume, "--overlay": made.overlay}
    given |= {"--points": made.points, "--regions": made.regions}
    return given | {f"--{name}": value for name, value in vars(of_video).items()}


def tell(outcome: "Outcome", *, as_json: bool) -> None:
    """Print what became of a job."""
    say_quarantined(outcome)
    if as_json:
        print_json(vars(outcome) | {"first": [list(pair) for pair in outcome.first]})
        return
    print_text(f"{outcome.images} images, each in one row of {outcome.rows}")
    if outcome.quarantined:
        print_text(f"{outcome.quarantined} of them are quarantined, with their reasons: {outcome.list}")


def _listed(paths: Sequence[str]) -> "pa.Table":
    """Return the list of the images of paths, and say what was passed over."""
    from ..distributed.listing import images_at, name_of
    from ..distributed.place import is_address

    images = [image for path in paths if is_address(path) for image in images_at(path)]
    if here := [path for path in paths if not is_address(path)]:
        found = expand(here)
        if found.line:
            say(messages(), found.line)
        images += map(name_of, found.images)
    return table_of(images)
