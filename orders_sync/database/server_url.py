"""The URL of a PostgreSQL server, in the one form that both libpq and SQLAlchemy read.

They differ where a URL names several hosts: libpq takes `postgresql://user@a:5432,b:5432/orders`, SQLAlchemy takes
`postgresql://user@/orders?host=a:5432&host=b:5432`. Each misreads the other's form; of SQLAlchemy's, libpq even keeps
the last host only. Both read `?host=a,b&port=5432,5432`.
"""

from urllib.parse import quote, unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_KINDS = ("postgresql", "postgres")
_DEFAULT_PORT = "5432"
_WRITES = "target_session_attrs"
_EXAMPLE = "postgresql://user@a:5432,b:5432/orders"

_Parameters = list[tuple[str, str]]


class ServerUrlError(ValueError):
    """A URL that names no PostgreSQL server. The text follows the name of the environment variable."""


def server_url(configured: str) -> str:
    """The URL in a form that libpq and SQLAlchemy both read: `postgresql://…`, without a driver's name.

    A URL of one host stays as it is otherwise. Of several hosts, the first one that answers and accepts writes is
    used, unless the URL says otherwise by `target_session_attrs`. Raises ServerUrlError, without the password.
    """
    scheme, separator, rest = configured.partition("://")
    kind = scheme.partition("+")[0] if separator else ""
    if kind not in _KINDS:
        raise ServerUrlError(
            f"names {f'a {kind} database' if kind else 'no kind of database'}; allowed is postgresql://…"
        )
    location, _, query = rest.partition("?")
    authority, slash, database = location.partition("/")
    login, at, hosts = authority.rpartition("@")
    parameters = _parsed(query)
    named = [value for name, value in parameters if name == "host"]
    if len(named) > 1 or any(_has_port(host) for host in named):
        servers = _of_parameters(parameters, named, hosts)
    elif "," in hosts:
        servers = _of_authority(f"postgresql://{hosts}")
    elif any("," in host for host in named):
        servers = _of_lists(named[0], dict(parameters).get("port", ""))
    else:
        return f"postgresql://{rest}"
    others = [(name, value) for name, value in parameters if name not in ("host", "port")]
    if len(servers) > 1 and _WRITES not in dict(others):
        others.append((_WRITES, "read-write"))
    places = [("host", ",".join(host for host, _ in servers)), ("port", ",".join(port for _, port in servers))]
    # libpq takes a plus sign for itself, not for a space.
    text = "&".join(f"{name}={quote(value, safe='/,:')}" for name, value in (*places, *others))
    return f"postgresql://{login}{at}{slash or '/'}{database}?{text}"


def masked_url(url: str) -> str:
    """A URL of `server_url` with stars for each password in it."""
    login, host, query = _split(url)
    user, colon, _ = login.partition(":")
    shown = [(name, _MASK if name in _PASSWORDS else value) for name, value in query]
    return _joined(f"{user}{colon and ':'}{_MASK if colon else ''}", host, shown)


def without_password(url: str) -> tuple[str, str | None]:
    """A URL of `server_url` without the password of its user, and that password; None if it has none."""
    login, host, query = _split(url)
    user, colon, password = login.partition(":")
    named = dict(query).get("password")
    rest = [(name, value) for name, value in query if name != "password"]
    return _joined(user, host, rest), unquote(password) if colon else named


_MASK = "***"
_PASSWORDS = ("password", "sslpassword")


def _split(url: str) -> tuple[str, str, _Parameters]:
    """User and password, hosts and database, and the parameters of a URL."""
    location, _, query = url.removeprefix("postgresql://").partition("?")
    login, at, host = location.rpartition("@")
    return (login, host, _parsed(query)) if at else ("", location, _parsed(query))


def _joined(login: str, host: str, query: _Parameters) -> str:
    text = "&".join(f"{name}={quote(value, safe='/,:*')}" for name, value in query)
    return f"postgresql://{login}{login and '@'}{host}{text and '?'}{text}"


def _parsed(query: str) -> _Parameters:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def _has_port(host: str) -> bool:
    """Whether a value of `host` is one of SQLAlchemy's with a port. A folder of a Unix socket and an IPv6 address
    without brackets are not."""
    return not host.startswith("/") and (host.startswith("[") or host.count(":") == 1)


def _of_parameters(parameters: _Parameters, named: list[str], hosts: str) -> _Parameters:
    """Host and port of each server in SQLAlchemy's form."""
    if hosts or any(name == "port" for name, _ in parameters) or any("," in host for host in named):
        raise ServerUrlError(f"names hosts or ports in more than one way; write {_EXAMPLE}")
    return [_host_and_port(host) if _has_port(host) else (host, _DEFAULT_PORT) for host in named]


def _host_and_port(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    port = port or _DEFAULT_PORT
    if not host or not port.isascii() or not port.isdigit():
        raise ServerUrlError(f"names {text!r} as a host; write {_EXAMPLE}")
    return host.removeprefix("[").removesuffix("]"), port


def _of_lists(hosts: str, ports: str) -> _Parameters:
    """Host and port of each server in the form that both read. libpq takes one port for all hosts."""
    each_host, each_port = hosts.split(","), ports.split(",")
    if len(each_port) == 1:
        each_port *= len(each_host)
    if len(each_port) != len(each_host):
        raise ServerUrlError(f"names {len(each_host)} hosts and {len(each_port)} ports; write {_EXAMPLE}")
    return [(host, port or _DEFAULT_PORT) for host, port in zip(each_host, each_port, strict=True)]


def _of_authority(url: str) -> _Parameters:
    """Host and port of each server in libpq's form."""
    try:
        parsed = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ServerUrlError(f"can't be read: {str(error).strip()}; write {_EXAMPLE}") from None
    return _of_lists(str(parsed["host"]), str(parsed.get("port") or ""))
