"""sam-mprompt: a frozen Segment-Anything encoder becomes a crowd counter by training a few percent of its parameters.

    import sam_mprompt
    counter = sam_mprompt.load("adapters/station")
    print(counter.count("crowd.jpg").count)

Importing this package imports neither torch nor peft; both come with the first use.
"""

from typing import TYPE_CHECKING, Any

from .errors import Interrupted, RunError, SamMpromptError, UsageError
from .tuning.register import register_with_peft
from .version import __version__

if TYPE_CHECKING:
    from .allocator import keep_freed_memory
    from .counting.counter import Counter
    from .counting.ensemble import Ensemble
    from .counting.region import Region
    from .counting.region_files import read_regions
    from .counting.regions import RegionCounts, Regions
    from .counting.result import CountResult
    from .counting.video.series import FrameCount
    from .counting.video.source import open_video
    from .deploy.exported import ExportedCounter
    from .deploy.load import load

__all__ = [
    "CountResult",
    "Counter",
    "Ensemble",
    "ExportedCounter",
    "FrameCount",
    "Interrupted",
    "Region",
    "RegionCounts",
    "Regions",
    "RunError",
    "SamMpromptError",
    "UsageError",
    "__version__",
    "keep_freed_memory",
    "load",
    "open_video",
    "read_regions",
]

_LAZY = {
    "keep_freed_memory": "allocator",
    "load": "deploy.load",
    "Counter": "counting.counter",
    "Ensemble": "counting.ensemble",
    "ExportedCounter": "deploy.exported",
    "CountResult": "counting.result",
    "FrameCount": "counting.video.series",
    "Region": "counting.region",
    "RegionCounts": "counting.regions",
    "Regions": "counting.regions",
    "open_video": "counting.video.source",
    "read_regions": "counting.region_files",
}

register_with_peft()


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sam_mprompt' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
