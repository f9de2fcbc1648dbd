"""The adapters that can be chosen on the page: those that it was started with, and those that were trained on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import UsageError
from ..serve.loading import Load, Served, load_all, no_such
from .training import Trainings


@dataclass(frozen=True)
class Choice:
    """An adapter that can be chosen.

    Attributes:
        name: by which it is asked for.
        trained: whether it was trained on the page.
        loaded: what counts with it, where it was loaded already.
    """

    name: str
    trained: bool
    loaded: Served | None


class Adapters:
    """Adapters by name. Those of the page's own trainings are loaded when they are first asked for.

    Args:
        given: those that the page was started with; the first is chosen where nobody chose.
        trainings: what was trained on the page.
        load: how an adapter is loaded.
    """

    def __init__(self, given: Mapping[str, Served], trainings: Trainings, load: Load) -> None:
        self._given, self._trainings, self._load = dict(given), trainings, load
        self._trained: dict[str, Served] = {}

    def all(self) -> list[Choice]:
        """List all: first those that were given, then those that were trained."""
        given = [Choice(name, False, served) for name, served in self._given.items()]
        runs = [run.name for run in self._trainings.all() if run.finished and run.name not in self._given]
        return given + [Choice(name, True, self._trained.get(name)) for name in runs]

    def is_taken(self, name: str) -> bool:
        """Whether one that was given has the name."""
        return name in self._given

    def forget(self, name: str) -> None:
        """Load a trained one anew when it is asked for, as it has changed."""
        self._trained.pop(name, None)

    def get(self, name: str) -> Served:
        """Return what counts with an adapter, loaded now where it was not. To be called in the thread that counts.

        Raises:
            UsageError: no adapter of that name, or one that is damaged or was deleted.
        """
        if (known := self._given.get(name) or self._trained.get(name)) is not None:
            return known
        self._expect(name)
        loaded = [*self._given.values(), *self._trained.values()]
        self._trained[name] = load_all({name: str(self._trainings.adapter(name))}, self._load, loaded)[name]
        return self._trained[name]

    def source(self, name: str) -> str:
        """Return where an adapter lies, to go on from. Raises UsageError where there is none of the name."""
        if name in self._given:
            return self._given[name].source
        self._expect(name)
        return str(self._trainings.adapter(name))

    def _expect(self, name: str) -> None:
        known = [choice.name for choice in self.all()]
        if name not in known:
            raise UsageError(no_such(known, name))
