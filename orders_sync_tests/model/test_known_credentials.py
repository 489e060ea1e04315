"""A credential that the process knows is masked, however a text writes it, and nothing else is."""

import base64
import html
import json
import logging
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders_sync.model import known_credentials
from orders_sync.model.errors import UserFacingError
from orders_sync.model.known_credentials import MASK, KnownCredentials, masked_bytes, note_credential, note_password_of

TOKEN = "pk+live/9f3b=secret value\\7\"'&<é"

#: Any text of a usable length; spaces around a credential are no part of it.
CREDENTIALS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=80).filter(
    lambda value: len(value.strip()) >= 8
)
WORDS = st.text("abc XYZ.,:-", max_size=30)
FORMS = {
    "as it is": lambda value: value,
    "URL": lambda value: quote(value, safe=""),
    "path": quote,
    "form": quote_plus,
    "lower case URL": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "URL twice": lambda value: quote(quote(value, safe=""), safe=""),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON, UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value))[1:-1],
    "Python": lambda value: repr(value)[1:-1],
    "HTML": html.escape,
    "HTML numbers": lambda value: "".join(f"&#{ord(each)};" for each in value),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "URL-safe base64": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 in a URL": lambda value: quote(base64.b64encode(value.encode()).decode(), safe=""),
    "user and password": lambda value: base64.b64encode(f"ann:{value}".encode()).decode(),
    "in base64": lambda value: base64.urlsafe_b64encode(f"{{'x': '{value}', 'y': 1}}".encode()).decode(),
}  # fmt: skip


def known(*values: str) -> KnownCredentials:
    made = KnownCredentials()
    for value in values:
        made.note(value)
    return made


@settings(deadline=None, max_examples=150)  # an example costs 30 ms
@given(form=st.sampled_from(list(FORMS)), value=CREDENTIALS, before=WORDS, after=WORDS)
def test_a_credential_is_masked_in_any_form_and_only_it(form: str, value: str, before: str, after: str) -> None:
    written = FORMS[form](value.strip())
    text = f"{before} <{written}> {after}"
    masked = known(value).masked(text)
    assert written.lower() not in masked.lower()
    assert masked.startswith(before.rstrip(" ")) or value.strip() in before
    if "base64" not in form and form != "user and password" and value.strip() not in (before, after):
        assert MASK in masked


BESIDE = {
    "=": (quote("=", safe=""), "\\u003d", "\\x3d", "&#x3d;", "&#x3d", "="),
    ":": (quote("user:"), ":"),
    " ": ("%20", "%2520", "+", "\\n", "\\t", "\\r", " "),
    '"': ("%22", "&quot;", '\\"', "\\u0022"),
    "ä": (json.dumps("ä")[1:-1],),
    "colour": ("\x1b[31m", "\x1b[0m", "\x1b[1;32m"),
}


@pytest.mark.parametrize("before", [escape for escapes in BESIDE.values() for escape in escapes])
@pytest.mark.parametrize("after", ["", "%26x", "\\n", "\\u0026", "&amp;", "\x1b[0m"])
def test_an_escape_beside_a_short_password_does_not_hide_it(before: str, after: str) -> None:
    assert known("hunter22abc").masked(f"key{before}hunter22abc{after}") == f"key{before}{MASK}{after}"
    assert known("hunter22abc").masked("key=shunter22abcs") == "key=shunter22abcs"


@pytest.mark.parametrize("header", ["ApiKey abcdefgh12345678", "Bearer\tabcdefgh12345678", "Token   abcdefgh12345678"])
def test_a_token_after_its_scheme_is_masked_alone(header: str) -> None:
    assert known(header).masked("the token abcdefgh12345678") == f"the token {MASK}"


def test_a_word_of_a_long_password_is_no_credential_but_a_token_after_its_scheme_is() -> None:
    passphrase = known("staple of orders_sync_writer")
    assert passphrase.masked("the role orders_sync_writer") == "the role orders_sync_writer"
    assert passphrase.masked("by staple of orders_sync_writer!") == f"by {MASK}!"
    assert known("Bearer abcdefgh12345678").masked("the token abcdefgh12345678") == f"the token {MASK}"


@settings(deadline=None)
@given(
    value=st.text("abcdefghijklmnop0123456789", min_size=8, max_size=80), text=st.text(" ,.;QRSTUVWXYZ<>", max_size=200)
)
def test_a_text_without_the_credential_stays_as_it_is(value: str, text: str) -> None:
    assert known(value).masked(text) == text


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_left_of_a_token_that_a_text_echoes(form: str) -> None:
    masked = known(TOKEN).masked(f"Plain {FORMS[form](TOKEN)}.")
    assert MASK in masked
    assert len(masked) <= len("Plain ***.") + 20, masked  # what stands beside it in base64


def test_a_part_of_a_credential_is_one() -> None:
    """Back Market's tokens are `user:password` in base64, and `Basic …` has a token."""
    login = base64.b64encode(b"ann@example.com:hunter2hunter2").decode()
    credentials = known(f"Basic {login}")
    for text in (login, "hunter2hunter2", "ann@example.com:hunter2hunter2"):
        assert credentials.masked(f"the credential {text} is wrong") == f"the credential {MASK} is wrong"


def test_a_short_credential_masks_no_word_of_a_message() -> None:
    assert known("secret", "", " ").masked("client id or secret is wrong") == "client id or secret is wrong"
    assert known("postgres").masked("postgresql://me is no postgres") == f"postgresql://me is no {MASK}"


def test_a_long_token_is_masked_with_all_that_follows_its_beginning() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9." + "Zm9v-_A" * 300
    credentials = known(token)
    for written in (token, quote(token, safe=""), base64.b64encode(token.encode()).decode()):
        assert credentials.masked(f"code {written} end") == f"code {MASK} end"


def test_the_beginning_of_a_credential_is_masked_where_a_text_is_cut_off() -> None:
    for written in (TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode()):
        assert known(TOKEN).masked(f"code {written[:24]}") == f"code {MASK}"


def test_the_oldest_of_many_renewed_tokens_is_forgotten() -> None:
    credentials = known("the-client-secret-of-ours")
    for number in range(known_credentials.MAX_RENEWED + 1):
        credentials.note(f"{number:04}-access-token", is_renewed=True)
    assert credentials.masked("the-client-secret-of-ours") == MASK
    assert credentials.masked("0000-access-token") == "0000-access-token"
    assert credentials.masked("0001-access-token") == MASK


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> KnownCredentials:
    made = KnownCredentials()
    monkeypatch.setattr(known_credentials, "_KNOWN", made)
    return made


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    "url",
    ["postgresql://me:pass%2Fword-17@host/db", "postgresql://me@host/db?password=pass%2Fword-17&sslmode=require"],
)
def test_the_password_of_a_url_is_a_credential(url: str) -> None:
    note_password_of(url)
    assert str(UserFacingError("pass/word-17 and pass%2fword-17")) == f"{MASK} and {MASK}"


@pytest.mark.usefixtures("fresh")
def test_no_error_and_no_log_of_any_library_has_a_credential(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    note_credential(TOKEN)
    assert str(UserFacingError(f"refused: {TOKEN}")) == f"refused: {MASK}"
    logging.getLogger("httpx").warning("sent %s", TOKEN)
    try:
        raise ValueError(f"Illegal header value {TOKEN.encode()!r}")
    except ValueError as error:
        logging.getLogger("another").exception("it failed")
        sys.excepthook(type(error), error, error.__traceback__)
    assert caplog.messages[0] == f"sent {MASK}"
    for text in (caplog.text, capsys.readouterr().err):
        assert "Illegal header value b" in text
        assert "9f3b" not in text


@pytest.mark.usefixtures("fresh")
def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    note_credential(TOKEN)
    assert masked_bytes(b"\xff\x00" + TOKEN.encode() + b"\xfe") == b"\xff\x00***\xfe"
