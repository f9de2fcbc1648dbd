"""A stream or a webcam: always its newest frame, and back again after it was lost."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from ...errors import RunError, SamMpromptError, UsageError
from .capture import Capture
from .every import Every, Schedule
from .frame import Frame, Health, Notice, silent
from .times import clock

RECONNECT = 60.0
"""Seconds that a lost stream is waited for where nothing else is said."""

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_SOME_BROKEN = 10
"""Frames in a row that cannot be decoded; more of them mean that the stream was lost."""

_WAKING = 0.5
"""Seconds between two looks at whether the thread that grabs still lives."""


class Live:
    """A source that goes on by itself. A thread takes all its frames, so that none of them waits in a queue.

    A frame is decoded to pixels when it is due and somebody waits for it. Where the one before is still being counted,
    the first frame is given that comes after that, and what was due meanwhile counts as dropped.

    Args:
        connect: opens the source; called again after it was lost.
        name: what it is called, without passwords.
        reconnect: for how many seconds a lost stream is tried again, after 1, 2, 4, ... at most 30 seconds each.
        notice: told of a lost stream and of its return, in the thread that grabs.
        opened: what `connect` has returned just now, to be gone on with.
        pause: waits for so many seconds between two attempts; None for what `close` ends early.
        first_delay: seconds before the first attempt to connect again.

    Raises:
        UsageError: it cannot be opened now.
    """

    live = True
    length = None

    def __init__(
        self,
        connect: Callable[[], Capture],
        name: str,
        *,
        reconnect: float = RECONNECT,
        notice: Notice = silent,
        opened: Capture | None = None,
        pause: Callable[[float], object] | None = None,
        first_delay: float = _FIRST_DELAY,
    ) -> None:
        self.name, self.health = name, Health()
        self._connect, self._notice = connect, notice
        self._reconnect, self._first_delay = reconnect, first_delay
        self._capture = connect() if opened is None else opened
        self.fps = self._capture.fps
        self._stop = threading.Event()
        self._pause = self._stop.wait if pause is None else pause
        self._changed = threading.Condition()
        self._waiting, self._frame, self._error = False, None, None
        self._begun: float | None = None
        self._last = 0.0
        self._lost = 0.0
        self._thread: threading.Thread | None = None

    _frame: Frame | None
    _error: SamMpromptError | None

    def frames(self, every: Every, after: float | None = None) -> Iterator[Frame]:
        """Yield the newest frame whenever one is due: see `Video.frames`. Ends by itself with an error alone."""
        self._thread = threading.Thread(
            target=self._run, args=(Schedule(every, after),), name="sam-mprompt-grab", daemon=True
        )
        self._waiting = True  # the first frame is wanted at once
        self._thread.start()
        try:
            while (frame := self._wait()) is not None:
                yield frame
        finally:
            self.close()

    def close(self) -> None:
        """Let the thread end, which then closes the source."""
        self._stop.set()
        if self._thread is None:
            self._capture.release()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout=1)  # it may be waiting for a stream that does not answer

    def _wait(self) -> Frame | None:
        """Return the next frame that is due; None after `close`. Raises what ended the thread."""
        with self._changed:
            self._waiting = True
            while self._frame is None and self._error is None and not self._stop.is_set():
                self._changed.wait(_WAKING)
            frame, self._frame, self._waiting = self._frame, None, False
        if frame is None and self._error is not None:
            raise self._error
        return frame

    def _run(self, schedule: Schedule) -> None:
        pending = False
        try:
            while not self._stop.is_set():
                self._grab()
                seconds = self._time()
                if schedule.due(self.health.frames - 1, seconds):
                    self.health.dropped += pending
                    pending = True
                if pending and self._waiting:
                    pending = not self._hand_over(seconds)
        except SamMpromptError as error:
            self._fail(error)
        except Exception as error:  # in a thread nobody else would hear of it
            self._fail(RunError(f"'{self.name}' cannot be read any more: {error}."))
        finally:
            self._capture.release()
            with self._changed:
                self._changed.notify_all()

    def _fail(self, error: SamMpromptError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _hand_over(self, seconds: float) -> bool:
        """Give the frame that was grabbed to the one who waits; False where it is broken."""
        pixels = self._capture.retrieve()
        if pixels is None:
            self.health.broken += 1
            return False
        with self._changed:
            self._frame = Frame(self.health.frames - 1, seconds, pixels, datetime.now().astimezone(), self._lost)
            self._waiting, self._lost = False, 0.0
            self._changed.notify_all()
        return True

    def _time(self) -> float:
        """Return the seconds since the first frame, now that one has come."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        self._last = now - self._begun
        return self._last

    def _grab(self) -> None:
        """Go to the next frame. Raises RunError where the stream was lost for good."""
        for failed in range(_SOME_BROKEN):
            if self._stop.is_set():
                return
            if self._capture.grab():
                self.health.broken += failed
                self.health.frames += 1
                return
        if self._begun is None:
            raise UsageError(f"'{self.name}' was opened, but no frame came from it.")
        self._recover()

    def _recover(self) -> None:
        """Connect again, with longer and longer pauses, until a frame comes. Raises RunError when the time is up."""
        lost, delay = time.monotonic(), self._first_delay
        self._notice(f"Lost '{self.name}' at {clock(self._last)}: trying again for {self._reconnect:g} s.")
        while not self._stop.is_set():
            self._capture.release()
            left = self._reconnect - (time.monotonic() - lost)
            if left <= 0:
                raise RunError(
                    f"Lost '{self.name}' at {clock(self._last)}, and it did not come back within "
                    f"{self._reconnect:g} s. What was counted before is kept."
                )
            self._pause(min(delay, left))
            delay = min(2 * delay, _LONGEST_DELAY)
            if not self._stop.is_set() and self._connected():
                break
        if self._stop.is_set():
            return
        assert self._begun is not None, "a stream that never gave a frame is not waited for"
        missed = time.monotonic() - self._begun - self._last
        self._lost += missed
        self.health.gap(missed)
        self.health.frames += 1
        self._notice(f"'{self.name}' is back after {missed:.0f} s.")

    def _connected(self) -> bool:
        try:
            self._capture = self._connect()
        except UsageError:
            return False
        return self._capture.grab()
