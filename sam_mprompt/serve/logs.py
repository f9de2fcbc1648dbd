"""Logs as lines of JSON: what was asked and how it went, never what a picture shows nor what its file is called."""

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

LOG = logging.getLogger("sam_mprompt.serve")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `event(...)` adds what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; where they cannot be written (a full disk, a closed pipe) they are lost, and nothing else is."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - as logging calls it
        """Do nothing."""


def event(name: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: object) -> None:
    """Log what happened, with facts."""
    LOG.log(level, name, extra={"facts": facts}, exc_info=error)


@contextmanager
def json_lines(stream: TextIO) -> Iterator[None]:
    """Write the service's logs, its server's, and the warnings of all others, to a stream while the block runs."""
    handler = _Lines(stream)
    handler.setFormatter(JsonLines())
    root, told = logging.getLogger(), [LOG, logging.getLogger("uvicorn")]
    before = [logger.level for logger in told]
    root.addHandler(handler)
    for logger in told:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level in zip(told, before, strict=True):
            logger.setLevel(level)
