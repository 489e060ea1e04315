"""The sessions of browsers: a signed cookie, and the token that a form of the session sends along.

The key is made when the process starts: a restart ends all sessions.
"""

import hashlib
import hmac
import secrets
import time
from collections import deque

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

READER, OPERATOR = "reader", "operator"
"""What a user who has logged in with a password may do: only read, or change things as well."""
NO_LOGIN = "no_login"
"""The session of a browser that has not logged in here: it proves nothing but where a form comes from."""
SESSION_SECONDS = 12 * 3600
"""How long a session lasts: a working day."""
MAX_FAILURES, FAILURE_SECONDS = 10, 300
"""So many wrong passwords are accepted in so many seconds, from all users together."""


class Sessions:
    """The sessions of one web process."""

    def __init__(self, port: int) -> None:
        """`port`: the one that the server listens on. Browsers send a host's cookies to all of its ports."""
        self.cookie = f"orders_sync_session_{port}"
        self._key = secrets.token_bytes(32)
        self._ended: dict[str, float] = {}

    def of(self, headers: Headers) -> str | None:
        """The session that a request's cookie proves; None: it has none, or it has ended."""
        value = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        session, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature("session", session).encode()):
            return None
        _, _, until = session.partition(".")
        return session if float(until) > time.time() and session not in self._ended else None

    def begin(self, role: str) -> str:
        """A new session; `send` brings it to the browser. `role`: READER, OPERATOR or NO_LOGIN."""
        return f"{role}:{secrets.token_urlsafe(24)}.{time.time() + SESSION_SECONDS:.0f}"

    def send(self, session: str, answer: Response, *, is_https: bool) -> None:
        """Adds the cookie that proves a session to an answer."""
        answer.set_cookie(
            self.cookie, f"{session}.{self._signature('session', session)}", max_age=SESSION_SECONDS, path="/",
            secure=is_https, httponly=True, samesite="strict",
        )  # fmt: skip

    def end(self, session: str | None, answer: Response) -> None:
        """Ends a session: its cookie is worth nothing any more, wherever a copy of it is."""
        now = time.time()
        self._ended = {ended: until for ended, until in self._ended.items() if until > now}
        if session is not None:
            self._ended[session] = now + SESSION_SECONDS
        answer.delete_cookie(self.cookie, path="/")

    def form_token(self, session: str) -> str:
        """What a form of this session sends along. A page of another origin can't know it."""
        return self._signature("form", session)

    def is_form_token(self, session: str | None, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return session is not None and hmac.compare_digest(token.encode(), self.form_token(session).encode())

    def _signature(self, purpose: str, session: str) -> str:
        return hmac.new(self._key, f"{purpose}:{session}".encode(), hashlib.sha256).hexdigest()


def role_of(session: str) -> str | None:
    """READER or OPERATOR; None: the browser has not logged in here."""
    role, _, _ = session.partition(":")
    return role if role in (READER, OPERATOR) else None


class Attempts:
    """Compares passwords, MAX_FAILURES wrong ones in FAILURE_SECONDS.

    The limit is one for all users: behind a proxy they have one address, and an attacker may have many. While it is
    reached nobody can log in; sessions that have begun go on.
    """

    def __init__(self, password: str, reader_password: str | None = None) -> None:
        passwords = {OPERATOR: password} | ({} if reader_password is None else {READER: reader_password})
        self._digests = {role: _digest(each) for role, each in passwords.items()}
        self._failures: deque[float] = deque()

    def seconds_to_wait(self) -> int:
        """For how many seconds no password is compared; 0: one may be entered."""
        now = time.monotonic()
        while self._failures and self._failures[0] <= now - FAILURE_SECONDS:
            self._failures.popleft()
        if len(self._failures) < MAX_FAILURES:
            return 0
        return int(self._failures[0] + FAILURE_SECONDS - now) + 1

    def role(self, password: str) -> str | None:
        """What the password opens, READER or OPERATOR; None: it is wrong. Takes the same time for each wrong one."""
        entered = _digest(password)
        for role in [role for role, digest in self._digests.items() if hmac.compare_digest(entered, digest)]:
            return role
        self._failures.append(time.monotonic())
        return None


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode(errors="surrogatepass")).digest()
