"""An examination of this installation and machine, subject by subject."""

from collections.abc import Callable, Iterator

from ..errors import RunError
from .machine import disks, machine
from .report import Problem, Section, anonymous
from .software import extras, versions
from .variables import variables


def examine(of: str) -> Iterator[Section]:
    """Yield what is found of each subject; a subject that cannot be examined is a problem, and the others follow.

    `of` is the distribution, see `software.this_distribution`.
    """
    subjects: dict[str, Callable[[], Section]] = {
        "Versions": lambda: versions(of),
        "Extras": lambda: extras(of),
        "Machine": machine,
        "Disks": disks,
        "Variables": variables,
    }
    for title, look in subjects.items():
        try:
            yield look()
        except Exception as error:
            told = anonymous(" ".join(f"{type(error).__name__}: {error}".split()))
            said = RunError(f"'{title}' cannot be examined: {told}", about="self-test")
            yield Section(title, {"not known": told}, [Problem(said, stops=False)])
