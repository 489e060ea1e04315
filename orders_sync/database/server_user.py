"""The user of the operating system that the embedded PostgreSQL runs as.

It is whoever starts it, but for root: PostgreSQL refuses to run as root. Root starts it as the owner of the data folder
or, for a new one, as the user `pgserver`. That user is in no group of root's and gets none of root's credentials. It
may pass through the folders above the server's own ones, but neither list nor read them.
"""

import fcntl
import os
import pwd
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orders_sync.config.private_files import private_file
from orders_sync.model.errors import UserFacingError

NAME = "pgserver"
"""The user that root starts new servers as; it is made when it does not exist."""
PASSED_ON = ("PATH", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PGPORT", "TZ")
"""The environment variables that the server gets, and those with LC_. The others hold marketplaces' credentials."""

_ACL = "system.posix_acl_access"
_HEADER = struct.pack("<I", 2)
_ENTRY = "<HHI"
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_NO_ID = 0xFFFFFFFF
"""The format of the extended attribute: a version, then tag, permissions and id of each entry.

Source: linux/posix_acl_xattr.h.
"""


class EmbeddedServerError(UserFacingError):
    """The embedded PostgreSQL could not be started."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """A user of the operating system, and its own group."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of(cls, data: Path) -> "ServerUser":
        """The user for the server of a data folder, which may not exist yet. Raises EmbeddedServerError."""
        if os.geteuid() != 0:
            return cls._from(pwd.getpwuid(os.geteuid()))
        if data.exists() and (owner := data.stat().st_uid) != 0:
            return cls._from(pwd.getpwuid(owner))
        return cls._from(_made_user())

    @classmethod
    def _from(cls, entry: pwd.struct_passwd) -> "ServerUser":
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid or entry.pw_uid)  # never root's group

    @property
    def is_us(self) -> bool:
        """Whether this process runs as the user."""
        return self.uid == os.geteuid()

    def run(self, program: Path, *arguments: str, seconds: float) -> str:
        """Runs a program as the user, and returns what it printed.

        Raises OSError when it can't be run, and subprocess.SubprocessError, with what it printed as `output`, when it
        fails or takes longer than `seconds`.
        """
        names = [name for name in os.environ if name in PASSED_ON or name.startswith("LC_")]
        with tempfile.TemporaryFile() as output:  # a server that it leaves behind would keep a pipe open
            try:
                subprocess.run(
                    [program, *arguments],
                    check=True,
                    cwd="/",  # the user may not be able to enter ours
                    env={name: os.environ[name] for name in names},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    user=None if self.is_us else self.uid,
                    group=None if self.is_us else self.gid,
                    extra_groups=None if self.is_us else [],
                )
            except subprocess.SubprocessError as error:
                output.seek(0)
                raise subprocess.SubprocessError(f"{error} {output.read().decode(errors='replace')}".strip()) from None
            output.seek(0)
            return output.read().decode(errors="replace")

    def own(self, path: Path) -> None:
        """Makes the user the owner of a path, unless it is already."""
        if not self.is_us and path.stat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def let_pass(self, path: Path) -> None:
        """Lets the user pass through the folders above the path, by an entry for it alone in their access lists.

        Raises EmbeddedServerError when a file system keeps no such lists.
        """
        for folder in () if self.is_us else reversed(path.resolve().parents):
            if not self._passes(folder):
                self._let_pass_one(folder)

    def let_run(self, program: Path) -> None:
        """Lets the user run one of the server's programs. They hold no secret, but a strict umask may have closed them.

        Raises as `let_pass`, and those of `run`.
        """
        if self.is_us:
            return
        self.let_pass(program)
        with suppress(OSError, subprocess.SubprocessError):
            self.run(program, "--version", seconds=30)
            return
        installed = program.parent.parent
        for path in (installed, *installed.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | 0o044 | (0o011 if mode & stat.S_IXUSR else 0))
        self.run(program, "--version", seconds=30)

    def _passes(self, folder: Path) -> bool:
        about = folder.stat()
        entries = _access_list(folder)
        mask = next((permissions for tag, permissions, _ in entries if tag == _MASK), 0o7)
        if about.st_uid == self.uid:
            return bool(about.st_mode & stat.S_IXUSR)
        for tag, permissions, who in entries:
            if (tag, who) == (_USER, self.uid):
                return bool(permissions & mask & 1)
            if tag == _GROUP and about.st_gid == self.gid:
                return bool(permissions & mask & 1)
        return bool(about.st_mode & stat.S_IXOTH)

    def _let_pass_one(self, folder: Path) -> None:
        """Adds the entry. The mask limits groups and named users; what it has withheld from them, they do not get."""
        entries = {(tag, who): permissions for tag, permissions, who in _access_list(folder)}
        mask = entries.get((_MASK, _NO_ID), 0o7)
        limited = {
            (tag, who): permissions & mask if tag in (_USER, _GROUP, _NAMED_GROUP) else permissions
            for (tag, who), permissions in entries.items()
        }
        limited[_USER, self.uid] = 1
        limited[_MASK, _NO_ID] = 0
        for (tag, _), permissions in list(limited.items()):
            if tag in (_USER, _GROUP, _NAMED_GROUP):
                limited[_MASK, _NO_ID] |= permissions
        packed = b"".join(struct.pack(_ENTRY, tag, limited[tag, who], who) for tag, who in sorted(limited))
        try:
            if sys.platform == "linux":
                os.setxattr(folder, _ACL, _HEADER + packed)
        except OSError:
            pass  # seen below
        if not self._passes(folder):
            mode = f"{stat.S_IMODE(folder.stat().st_mode):04o}"
            raise EmbeddedServerError(
                f"The embedded PostgreSQL runs as the user {self.name}, not as root, and that user may not pass "
                f"through {folder} (mode {mode}), whose file system keeps no access lists. Move the project or "
                "ORDERS_SYNC_STATE to a folder that it can reach, let all users pass "
                f"(chmod o+x {folder}), or run orders-sync as an ordinary user. It is not started until then."
            )


def _access_list(path: Path) -> list[tuple[int, int, int]]:
    """Tag, permissions and id of each entry of a path's access list; without a list, what its mode says."""
    with suppress(OSError):
        if sys.platform == "linux":
            return list(struct.iter_unpack(_ENTRY, os.getxattr(path, _ACL)[len(_HEADER) :]))
    mode = path.stat().st_mode
    return [(_OWNER, mode >> 6 & 7, _NO_ID), (_GROUP, mode >> 3 & 7, _NO_ID), (_OTHER, mode & 7, _NO_ID)]


def _made_user() -> pwd.struct_passwd:
    """The user for new servers, made if need be. Raises EmbeddedServerError."""
    with suppress(KeyError):
        return pwd.getpwnam(NAME)
    with _alone():
        with suppress(KeyError):
            return pwd.getpwnam(NAME)  # another process has made it meanwhile
        return _make_user()


@contextmanager
def _alone() -> Generator[None]:
    """Only one process at a time is in the block.

    Of two `useradd` at once, the second one would give the user another number (it looks for the name before it waits
    for the first one), and the server of the first could not be started.
    """
    with ExitStack() as opened:
        with suppress(OSError):  # a system without `useradd` may have a closed /etc as well
            # The file of lckpwdf(3): only root opens it, and nothing replaces it. `useradd` locks it in another way.
            file = opened.enter_context(open("/etc/.pwd.lock", "ab", opener=private_file))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_user() -> pwd.struct_passwd:
    options = ["--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin"]
    try:
        made = subprocess.run(["useradd", *options, NAME], capture_output=True, text=True, check=False).stderr.strip()
    except OSError as error:
        made = str(error)
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL does not run as root but as the user {NAME}, which could not be made: {made}. "
            "Make that user, or run orders-sync as an ordinary user."
        ) from None
