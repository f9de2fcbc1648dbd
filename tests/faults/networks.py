"""Two network namespaces of this machine, joined by a cable that can be pulled."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

ADDRESSES = ("10.213.7.1", "10.213.7.2")
"""Of the two ends; nothing outside the namespaces sees them."""


@dataclass(frozen=True)
class Network:
    """Two namespaces, each with one end of a cable.

    Attributes:
        spaces: names of the namespaces.
        ends: names of the ends, as the processes in the namespaces see them.
    """

    spaces: tuple[str, str]
    ends: tuple[str, str]

    def inside(self, number: int) -> list[str]:
        """Return the words before a command that make it run in a namespace."""
        return ["ip", "netns", "exec", self.spaces[number]]

    def cut(self) -> None:
        """Pull the cable: what is sent is lost, and nobody is told."""
        _ip("-n", self.spaces[0], "link", "set", self.ends[0], "down")

    def mend(self) -> None:
        """Put the cable back."""
        _ip("-n", self.spaces[0], "link", "set", self.ends[0], "up")


@contextmanager
def two_namespaces() -> Iterator[Network]:
    """Make the network, and remove it in the end, whatever happened.

    Raises:
        PermissionError: this process may not, or there is no `ip`.
    """
    ends = tuple(f"v{os.getpid()}{side}" for side in "ab")  # 15 characters at most
    network = Network((f"sam-mprompt-{ends[0]}", f"sam-mprompt-{ends[1]}"), (ends[0], ends[1]))
    if shutil.which("ip") is None:
        raise PermissionError("there is no command 'ip'")
    try:
        try:
            _lay(network)
        except subprocess.CalledProcessError as error:
            raise PermissionError(str(error.stderr).strip()) from error
        yield network
    finally:
        for space in network.spaces:  # the cable goes with them, and so does what a failed test has left running there
            left = subprocess.run(["ip", "netns", "pids", space], check=False, capture_output=True, text=True).stdout
            for process in left.split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


def _lay(network: Network) -> None:
    (left, right), (near, far) = network.spaces, network.ends
    _ip("netns", "add", left)
    _ip("netns", "add", right)
    _ip("link", "add", near, "netns", left, "type", "veth", "peer", "name", far, "netns", right)
    for space, end, address in zip(network.spaces, network.ends, ADDRESSES, strict=True):
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "address", "add", f"{address}/30", "dev", end)
        _ip("-n", space, "link", "set", end, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
