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
    from .counting.counter import Counter, load
    from .counting.region import Region
    from .counting.region_files import read_regions
    from .counting.regions import RegionCounts, Regions
    from .counting.result import CountResult

__all__ = [
    "CountResult",
    "Counter",
    "Interrupted",
    "Region",
    "RegionCounts",
    "Regions",
    "RunError",
    "SamMpromptError",
    "UsageError",
    "__version__",
    "load",
    "read_regions",
]

_LAZY = {
    "load": "counting.counter",
    "Counter": "counting.counter",
    "CountResult": "counting.result",
    "Region": "counting.region",
    "RegionCounts": "counting.regions",
    "Regions": "counting.regions",
    "read_regions": "counting.region_files",
}

register_with_peft()


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sam_mprompt' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
