"""Threads that want different adapters of one encoder take turns; those that want the same one work side by side.

Which adapter an encoder uses is written into its layers (peft's active adapter), for every method alike, so that only
one can be in use at a time. A lock around each step (switch, forward) would do, but also keep apart threads that want
the same. Here a turn is one adapter's: whoever wants it joins while nobody waits for another.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from .adapters import active_adapter, switch


@dataclass(eq=False)
class _Ticket:
    """Of a thread that waits: the adapter that it wants, or None for the encoder alone; whether its turn has come."""

    wish: str | None
    admitted: bool = False


class Turns:
    """Whose turn an encoder's adapters are; one object for all that share the encoder. Not for nested use."""

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        self._start()

    def __reduce__(self) -> tuple[type["Turns"], tuple[nn.Module]]:
        return Turns, (self.encoder,)

    @contextmanager
    def using(self, adapter: str) -> Iterator[None]:
        """Within the block the encoder works with this adapter, whatever other threads want.

        Raises:
            UsageError: the encoder carries no adapter of that name.
        """
        self._enter(adapter)
        try:
            with self._changed:  # the first of a turn switches, the others find it done
                if active_adapter(self.encoder) != adapter:
                    switch(self.encoder, adapter)
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block nobody uses the encoder, so that adapters can be added and removed."""
        self._enter(None)
        try:
            yield
        finally:
            self._leave()

    def _start(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._turn: str | None = None
        self._working = 0
        self._waiting: list[_Ticket] = []

    def _enter(self, wish: str | None) -> None:
        if self._process != os.getpid():  # a fork: whoever held a turn stayed behind
            self._start()
        with self._changed:
            if not self._working or (wish is not None and wish == self._turn and not self._waiting):
                self._turn = wish
                self._working += 1
                return
            ticket = _Ticket(wish)
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: ticket.admitted)
            except BaseException:  # Ctrl-C
                if ticket.admitted:
                    self._leave()
                else:
                    self._waiting.remove(ticket)
                raise

    def _leave(self) -> None:
        with self._changed:
            self._working -= 1
            if self._working or not self._waiting:
                return
            self._turn = self._waiting[0].wish
            admitted = [ticket for ticket in self._waiting if ticket.wish == self._turn]
            for ticket in admitted if self._turn is not None else admitted[:1]:
                ticket.admitted = True
                self._waiting.remove(ticket)
                self._working += 1
            self._changed.notify_all()
