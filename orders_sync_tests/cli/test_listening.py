"""The addresses that commands listen on: an unusable one is one clear line, before anything is loaded for it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from orders_sync.cli.listening import AddressError, listening_sockets
from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit
from orders_sync_tests.cli.command_line import run


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    "option", [("web", "--port"), ("up", "--port"), ("up", "--sandbox-port"), ("sandbox", "--port")]
)
@pytest.mark.parametrize("port", ["0", "65536", "70000", "-1"])
def test_a_number_that_is_no_port_is_wrong_usage(option: tuple[str, str], port: str) -> None:
    result = run(*option, port)
    assert result.exit_code == 2
    assert f"Invalid value for '{option[1]}': {port} is not in the range 1<=x<=65535." in result.stderr


@pytest.mark.parametrize(
    ("command", "user", "option"),
    [
        (("web", "--port"), "the web process", "--port"),
        (("up", "--port"), "the Dagster UI", "--port"),
        (("up", "--port", str(free_port()), "--sandbox-port"), "the sandbox", "--sandbox-port"),
        (("sandbox", "--port"), "the sandbox", "--port"),
    ],
    ids=["web", "up", "up's sandbox", "sandbox"],
)  # fmt: skip
def test_a_port_in_use_is_one_line(taken: int, command: tuple[str, ...], user: str, option: str) -> None:
    result = run(*command, str(taken))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: Port {taken}, which {user} needs, is in use. Is orders-sync running already? `{option}` chooses "
        "another port.\n"
    )


def test_dagster_is_not_loaded_for_a_port_in_use(taken: int) -> None:
    code = (
        "import sys; from orders_sync.cli import main\n"
        f"try: main(['web', '--port', '{taken}'])\n"
        "except SystemExit as end: print(end.code, 'dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=limit(60))
    assert done.stdout == "1 False\n"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine. `--host` names one"),
        ("no host", "The host 'no host' is not known."),
        ("orders.invalid", "The host 'orders.invalid' is not known."),
    ],
)
def test_an_address_that_is_not_this_machines_is_one_line(host: str, why: str) -> None:
    result = run("web", "--host", host, "--port", str(free_port()))
    assert (result.exit_code, result.stdout) == (1, "")
    assert why in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_host_is_served_on_each_of_its_addresses() -> None:
    port = free_port()
    for host, reached in (("127.0.0.1", ["127.0.0.1"]), ("", ["127.0.0.1", *(["::1"] if has_ipv6() else [])])):
        opened = listening_sockets(host, port, "the test")
        try:
            for address in reached:
                with closing(socket.create_connection((address, port), timeout=limit(5))):
                    pass
            with pytest.raises(AddressError, match="is in use"):
                listening_sockets("127.0.0.1", port, "the test")
        finally:
            for each in opened:
                each.close()


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
