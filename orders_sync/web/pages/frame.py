"""What all pages share: the frame around them, who opens them, and whether a form comes from one of them."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orders_sync.web.pages.rendering import page
from orders_sync.web.sessions import NO_LOGIN, Sessions
from orders_sync.web.users import user_of

NAMELESS = "page user"
"""Who acts on a page, where nobody is known by name: there is one password for all, or none."""


class Frame:
    """The frame around each page."""

    def __init__(self, sessions: Sessions, *, has_login: bool) -> None:
        self._sessions = sessions
        self._has_login = has_login

    def page(self, request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
        """A page in its frame, with a session whose forms are known."""
        known = self._sessions.of(request.headers)
        session = known or self._sessions.begin(NO_LOGIN)
        user = user_of(request.scope)
        # Whom a proxy has named logs out there.
        answer = page(
            template, status_code, token=self._sessions.form_token(session), user=user.name,
            has_login=self._has_login and user.name is None, reads_only=user.reads_only, **values,
        )  # fmt: skip
        if known is None:
            self._sessions.send(session, answer, is_https=False)
        return answer

    def foreign_form(self, request: Request, form: Mapping[str, str]) -> Response | None:
        """The answer to a form that no page of this session has sent; None if one has."""
        if self._sessions.is_form_token(self._sessions.of(request.headers), form.get("token", "")):
            return None
        text = "The page was too old, or another page has sent it. Open it again; nothing was changed."
        return self.page(request, "message.html", 403, title="Not done", text=text)


def name_of_user(request: Request) -> str:
    """Who opens a page, for the record of acts."""
    return user_of(request.scope).name or NAMELESS


def text_of(values: Mapping[str, str], name: str) -> str:
    """A text of a query or form. PostgreSQL has no texts with the character NUL, so there is nothing to find by it."""
    return values.get(name, "").replace("\0", "").strip()
