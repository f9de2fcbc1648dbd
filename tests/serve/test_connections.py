"""Connections that are held open: how many, how long, and who makes room for whom."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from small_service import eventually, small_service, started

from sam_mprompt.serve.connections import Bounds, open_files
from sam_mprompt.serve.limits import Limits
from sam_mprompt.serve.server import Server, bounds_of, settings

LARGE = bytes(1 << 24)
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Application:
    """Reads a body and answers: at once, a lot, or when it is let."""

    def __init__(self):
        self.let, self.inside = threading.Event(), 0

    async def __call__(self, scope, receive, send):
        self.inside += 1
        try:
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
            while scope["path"] == "/wait" and not self.let.is_set():
                await asyncio.sleep(0.01)
            body = LARGE if scope["path"] == "/large" else b"done"
            length = [(b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": body})
        finally:
            self.inside -= 1


class Line:
    """A client that speaks as it likes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def say(self, content):
        self.socket.sendall(content)
        return self

    def hears(self):
        """What comes next; nothing where the other side has closed."""
        try:
            return self.socket.recv(1 << 18)
        except ConnectionResetError:
            return b""

    def is_answered(self):
        """Whether the short answer comes."""
        heard = b""
        while not heard.endswith(b"done") and (piece := self.hears()):
            heard += piece
        return heard.startswith(b"HTTP/1.1 200 ") and heard.endswith(b"done")

    def hears_all(self):
        heard = b""
        while piece := self.hears():
            heard += piece
        return heard


@contextmanager
def reached(**bounds):
    """Yield an application, a function that opens a line to it, and the server."""
    application, lines = Application(), []
    bounds = Bounds(**{"most": 8, "patience": 0.3, "look": 0.05, **bounds})
    server = uvicorn.Server(settings(application, host="127.0.0.1", port=0, grace=5, bounds=bounds))

    def line():
        lines.append(Line(server.servers[0].sockets[0].getsockname()[1]))
        return lines[-1]

    with started(server):
        try:
            yield application, line, server
        finally:
            application.let.set()
            for one in lines:
                one.socket.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "an answer that is not read"],
)
def test_a_connection_on_which_nothing_moves_is_closed(said):
    with reached() as (application, line, server):
        line().say(said)
        eventually(lambda: len(server.server_state.connections) == 1, 10)
        eventually(lambda: not server.server_state.connections, 10)
        eventually(lambda: application.inside == 0, 10)
        assert line().say(ASK).is_answered()


def test_a_head_that_comes_letter_by_letter_is_not_waited_for():
    with reached() as (_, line, server):
        slow = line()
        eventually(lambda: len(server.server_state.connections) == 1, 10)
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - begun < 20:
                slow.say(b"G")
                time.sleep(0.01)
        assert time.monotonic() - begun < 20
        assert slow.hears() == b""


def test_a_body_that_comes_slowly_and_an_answer_that_takes_long_are_waited_for():
    with reached(patience=1.0) as (application, line, _):
        waits = line().say(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        slow = line().say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        for letter in b"123456":
            time.sleep(0.3)
            slow.say(bytes([letter]))
        assert slow.is_answered()
        application.let.set()
        assert waits.is_answered()


def test_an_answer_that_is_read_slowly_comes_whole():
    with reached(patience=1.0) as (_, line, _server):
        slow, heard = line().say(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 0
        begun = time.monotonic()
        while piece := slow.hears():
            heard += len(piece)
            time.sleep(len(piece) / len(LARGE) * 2)
        assert heard > len(LARGE)
        assert time.monotonic() - begun > 2


def test_the_one_that_was_idle_longest_makes_room_for_one_that_asks():
    with reached(most=3, patience=30) as (_, line, server):
        second = line()
        eventually(lambda: len(server.server_state.connections) == 1, 10)
        first = line().say(ASK)
        assert first.is_answered()  # it was idle for less time than the second
        third = line()
        eventually(lambda: len(server.server_state.connections) == 3, 10)
        time.sleep(0.1)
        assert line().say(ASK).is_answered()
        assert second.hears() == b""
        assert first.say(ASK).is_answered()
        assert third.say(ASK).is_answered()


def test_where_all_are_busy_one_more_is_told_to_come_again_and_the_busy_ones_are_answered():
    with reached(most=3, patience=30) as (application, line, _):
        busy = [line().say(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(3)]
        eventually(lambda: application.inside == 3, 10)
        time.sleep(0.1)
        answer = line().hears_all()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert b"application/problem+json" in answer
        application.let.set()
        assert all(one.is_answered() for one in busy)


def test_a_service_gives_as_many_connections_as_it_takes_requests_and_more_and_tells_how_many_are_open():
    service = small_service(queue=100, timeout=7.0)
    assert bounds_of(service.limits) == Bounds(most=712, patience=7.0)
    assert bounds_of(Limits()).most >= 500
    with service.running(), started(Server(service, host="127.0.0.1", port=0)) as server:
        lines = [Line(server.addresses[0][1]) for _ in range(5)]
        eventually(lambda: b"sam_mprompt_connections 5.0" in service.metrics.page())
        for line in lines:
            line.socket.close()
        eventually(lambda: b"sam_mprompt_connections 0.0" in service.metrics.page())


@pytest.mark.parametrize(
    ("given", "asked"),
    [((256, 4096), [(1000, 4096)]), ((256, 500), [(500, 500)]), ((1024, 4096), [])],
    ids=["too few", "too few, and no more to be had", "enough"],
)
def test_as_many_open_files_are_asked_for_as_are_needed_and_may_be_had(given, asked, monkeypatch):
    resource = pytest.importorskip("resource")
    changed = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: given)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: changed.append(limits))
    open_files(1000)
    assert changed == asked
