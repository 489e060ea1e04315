"""Another host: a network namespace behind a cable that a test can cut. Needs root, on Linux."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")


class OtherHost:
    """A host at the other end of a cable. `address`: ours, as it sees us."""

    def __init__(self, name: str, network: int) -> None:
        self._name = name
        self.address, self._own_address = (f"10.231.{network}.{end}" for end in (1, 2))

    def start(self, command: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Starts a program there."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self._name, *command], env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def cut(self) -> None:
        """Cuts the cable: what is sent from now on is lost, and neither end notices."""
        _ip("link", "set", self._name, "down")

    def connect(self) -> None:
        """Lays the cable."""
        _ip("netns", "add", self._name)
        _ip("link", "add", self._name, "type", "veth", "peer", "name", "eth0", "netns", self._name)
        _ip("address", "add", f"{self.address}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")
        _ip("-n", self._name, "address", "add", f"{self._own_address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self._name, "link", "set", device, "up")

    def remove(self) -> None:
        """Removes the host with its cable."""
        _ip("netns", "delete", self._name, check=False)


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


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
