"""Another host: a network namespace behind a cable that a test can cut. Needs root, on Linux."""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")


class OtherHost:
    """A host at the other end of a cable. `address`: ours, as it sees us; `own_address`: its own."""

    def __init__(self, name: str, network: int) -> None:
        self.name = name
        self.address, self.own_address = (f"10.231.{network}.{end}" for end in (1, 2))

    def start(self, command: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Starts a program there."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command], env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def cut(self) -> None:
        """Cuts the cable: what is sent from now on is lost, and neither end notices."""
        _ip("link", "set", self.name, "down")

    def plug_in(self) -> None:
        """Connects the cable again."""
        _ip("link", "set", self.name, "up")

    def connect(self) -> None:
        """Makes the host, with its cable."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("address", "add", f"{self.address}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")
        _ip("-n", self.name, "address", "add", f"{self.own_address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self.name, "link", "set", device, "up")

    def remove(self) -> None:
        """Removes the host with its cable."""
        _ip("netns", "delete", self.name, check=False)


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


def enter_network(name: str) -> None:
    """Moves this thread, and the threads that it will start, to the network of another host. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/var/run/netns", name).open() as network:
        if libc.setns(network.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"can't enter the network {name}")


@contextmanager
def other_host() -> Iterator[OtherHost]:
    """A host for the length of the block. Several tests may have one at the same time."""
    number = os.getpid() % 250
    host = OtherHost(f"host{os.getpid()}"[:15], number)
    try:
        host.connect()
        yield host
    finally:
        host.remove()
