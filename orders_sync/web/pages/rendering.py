"""How pages are made of templates, and how forms are read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from orders_sync.model.control_characters import without_control

FOLDER = Path(__file__).resolve().parent
MAX_FORM_BYTES = 16_384
NOT_STORED = {"Cache-Control": "no-store"}
"""Neither browsers nor proxies keep an answer with this header."""
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """An answer with a page; each value is escaped where the template shows it."""
    headers = {**NOT_STORED, "Content-Security-Policy": PAGE_POLICY}
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status_code, headers=headers)


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form of the type application/x-www-form-urlencoded; none of one that is too large."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(content.decode("utf-8", errors="replace"), keep_blank_values=True))


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _second(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def url(path: str, **query: str) -> str:
    """A path with a query."""
    return f"{path}?{urlencode(query)}"


def _cell(value: Any) -> Any:
    """A value of a row as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _moment(value) if isinstance(value, datetime) else value


def _shown(value: Any) -> Any:
    """A value as a page shows it: control characters of a marketplace's text are shown, not obeyed."""
    return without_control(value) if type(value) is str else value


_TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True, finalize=_shown,
)  # fmt: skip
_TEMPLATES.filters.update(moment=_moment, second=_second, cell=_cell)  # pyright: ignore[reportUnknownMemberType]
_TEMPLATES.globals.update(url=url, form_id=lambda: token_hex(8))  # pyright: ignore[reportUnknownMemberType]
