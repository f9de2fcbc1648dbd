"""What became of earlier attempts at a part: by them an image is found that ends the process which works on it.

A part that is begun notes it. One that was begun before is done image by image, each noted before its turn; the image
that was under way when the process ended is to blame, and is set aside when that happened too often.
"""

import json
from dataclasses import dataclass, field

from ..files import parse_json
from .job import ATTEMPTS, Job
from .place import Place

MOST = 3
"""So often may a process end over an image until the image is quarantined."""


@dataclass
class Attempts:
    """The attempts at one part.

    Attributes:
        begun: how often it was begun.
        under_way: the image that is being worked on, where they are done one by one.
        ended: how often a process ended over an image.
        why: what the last of them said, where it could say something.
    """

    place: Place
    name: str
    begun: int = 0
    under_way: str | None = None
    ended: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, place: Place, name: str) -> "Attempts":
        """Return what is noted under a name; nothing where nothing is, or what is there cannot be read."""
        try:
            known = parse_json((place.read(name) or b"{}").decode())
            return cls(place, name, known["begun"], known["under_way"], known["ended"], known["why"])
        except (ValueError, KeyError, TypeError):
            return cls(place, name)

    @classmethod
    def begin(cls, job: Job, number: int) -> "Attempts":
        """Note that a part is begun, and blame the image that was under way when it was given up."""
        self = cls.at(job.place, f"{ATTEMPTS}/{number:08}.json")
        self.begun += 1
        if self.under_way is not None:
            self.ended[self.under_way] = self.ended.get(self.under_way, 0) + 1
            self.under_way = None
        self._save()
        return self

    def try_image(self, image: str) -> None:
        """Note an image before its turn."""
        self.under_way = image
        self._save()

    def tried(self) -> None:
        """Note that no image is under way any longer."""
        self.under_way = None
        self._save()

    def failed(self, image: str, reason: str) -> None:
        """Note why the process is about to end over an image."""
        self.why[image] = reason
        self._save()

    def late(self, seconds: float) -> None:
        """Note that the process is about to end as no image was done within so many seconds."""
        if self.under_way is not None:
            self.failed(self.under_way, f"no result within {seconds:g} s")

    def verdict(self, image: str) -> str | None:
        """Return why an image is set aside, None where it may be tried."""
        if (times := self.ended.get(image, 0)) < MOST:
            return None
        said = f": {self.why[image]}" if image in self.why else ""
        return f"the process that worked on it ended {times} times{said}"

    def forget(self) -> None:
        """Remove the notes: the part is done."""
        self.place.remove(self.name)

    def _save(self) -> None:
        noted = {"begun": self.begun, "under_way": self.under_way, "ended": self.ended, "why": self.why}
        self.place.write(self.name, json.dumps(noted).encode())


def forgive(job: Job) -> None:
    """Blame no image for the end of the command before this one, which ended its processes too."""
    for name in job.place.names(ATTEMPTS):
        noted = Attempts.at(job.place, f"{ATTEMPTS}/{name}")
        noted.under_way = None
        if noted.ended:
            noted._save()
        else:
            noted.forget()


def learnt(job: Job) -> int:
    """Return how much is known of parts that are not done: which were begun, and what ended their processes.

    It grows with every attempt that brings a part nearer to its end, and not without bound.
    """
    notes = [Attempts.at(job.place, f"{ATTEMPTS}/{name}") for name in job.place.names(ATTEMPTS)]
    return sum(min(noted.begun, 2) + sum(noted.ended.values()) for noted in notes)
