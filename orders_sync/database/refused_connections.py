"""Why a connection could not be opened, in one line; what to do where it is the certificate of the server."""

from collections.abc import Sequence

_REMEDIES: Sequence[tuple[str, str]] = (
    (
        "certificate verify failed",
        "The certificate of the server is not one that this machine trusts. Name the file of the CA that issued it by "
        "`sslrootcert` in the URL; if the certificate has expired, renew it at the server.",
    ),
    (
        "does not match host name",
        "The certificate of the server is for another host. Use the host name that it was issued for, or issue one for "
        "this name (subjectAltName).",
    ),
    (
        "server does not support SSL",
        "The server has no TLS: set `ssl = on` with a certificate in its postgresql.conf. Don't lower `sslmode`.",
    ),
)
"""What to do about a refusal, by what libpq says of it."""


def reason(error: Exception) -> str:
    """What an error of libpq says, in one line: of several hosts or addresses, each of its lines."""
    lines = (" ".join(line.split()).removeprefix("- ") for line in str(error).splitlines())
    said = "; ".join(filter(None, lines))
    remedy = next((each for sign, each in _REMEDIES if sign in said), "")
    return f"{said.removesuffix('.')}. {remedy}" if remedy else said
