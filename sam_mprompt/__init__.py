"""sam-mprompt: a frozen Segment-Anything encoder becomes a crowd counter by training a few percent of its parameters.

    import sam_mprompt
    counter = sam_mprompt.load("adapters/station")
    print(counter.count("crowd.jpg").count)

Importing this package imports neither torch nor peft; both come with the first use.
"""

from typing import TYPE_CHECKING, Any

from .errors import RequestError, WorkError
from .tuning.register import register_with_peft

if TYPE_CHECKING:
    from .loading import Counter, load
    from .result import CountResult

__version__ = "0.1.0"
__all__ = ["CountResult", "Counter", "RequestError", "WorkError", "__version__", "load"]

_LAZY = {"load": "loading", "Counter": "loading", "CountResult": "result"}

register_with_peft()


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sam_mprompt' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
