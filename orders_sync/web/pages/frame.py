"""What all pages share: the frame around them, who opens them, and what answers their forms."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from orders_sync.acts.by import By
from orders_sync.model.errors import UserFacingError
from orders_sync.model.texts import MAX_REASON_LENGTH
from orders_sync.web.pages.rendering import form_of, page
from orders_sync.web.sessions import NO_LOGIN, Sessions
from orders_sync.web.users import user_of

NAMELESS = "page user"
"""Who acts on a page, where nobody is known by name: there is one password for all, or none."""
MAX_SENT_FORMS = 10_000
"""So many forms are known to have been sent; each does what it says once."""
DoneByForm = Callable[[Mapping[str, str], By], Awaitable[str]]
"""What a form does: gets its fields and who sends it, and returns the path to go to. Raises UserFacingError where it
can't be done."""


class Frame:
    """The frame around each page."""

    def __init__(self, sessions: Sessions, *, has_login: bool) -> None:
        self._sessions = sessions
        self._has_login = has_login
        self._sent: dict[str, None] = {}
        """The forms that were sent, the oldest first."""

    def page(self, request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
        """A page in its frame, with a session whose forms are known."""
        known = self._sessions.of(request.headers)
        session = known or self._sessions.begin(NO_LOGIN)
        user = user_of(request.scope)
        # Whom a proxy has named logs out there.
        answer = page(
            template, status_code, token=self._sessions.form_token(session), user=user.name,
            has_login=self._has_login and user.name is None, reads_only=user.reads_only, path=request.url.path,
            run=_run_id(request.query_params.get("run", "")), max_reason=MAX_REASON_LENGTH, **values,
        )  # fmt: skip
        if known is None:
            self._sessions.send(session, answer, is_https=False)
        return answer

    async def form_answer(self, request: Request, done_by: DoneByForm, *, needs_reason: bool = True) -> Response:
        """Does what a form asks for, in the name of the user, and leads on; says why where it can't be done.

        A form that no page of this session has sent does nothing. The path of a form is that of its page, and a verb.
        """
        form = await form_of(request)
        sent = form.get("once", "")
        if not sent or not self._sessions.is_form_token(self._sessions.of(request.headers), form.get("token", "")):
            text = "The page was too old, or another page has sent it. Open it again; nothing was changed."
            return self.message(request, 403, "Not done", text)
        if sent in self._sent:
            text = "This form was sent already, perhaps by a double click. Open the page again to see what it did."
            return self.message(request, 409, "Done once", text)
        self._sent[sent] = None
        if len(self._sent) > MAX_SENT_FORMS:
            del self._sent[next(iter(self._sent))]
        user, via = name_of_user(request), f"page {request.url.path.rpartition('/')[0]}"
        try:
            by = By.checked(user, text_of(form, "reason"), via) if needs_reason else By(user, "", via)
            return RedirectResponse(await done_by(form, by), 303)
        except Exception as problem:
            self._sent.pop(sent, None)  # nothing was done: it may be sent again
            if not isinstance(problem, UserFacingError):
                raise
            return self.message(request, 400, "Not done", f"Nothing was changed: {problem}")

    def message(self, request: Request, status_code: int, title: str, text: str) -> Response:
        """A page that says what is wrong."""
        return self.page(request, "message.html", status_code, title=title, text=text)


def _run_id(text: str) -> str:
    """The id of a run of Dagster that a form has launched; '' for anything else, which the page does not show."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return ""


def name_of_user(request: Request) -> str:
    """Who opens a page, for the record of acts."""
    return user_of(request.scope).name or NAMELESS


def text_of(values: Mapping[str, str], name: str) -> str:
    """A text of a query or form. PostgreSQL has no texts with the character NUL, so there is nothing to find by it."""
    return values.get(name, "").replace("\0", "").strip()
