"""Certificates of an authority of our own, made by openssl."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Authority(NamedTuple):
    """A CA of our own."""

    certificate: Path
    key: Path


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def an_authority(folder: Path, name: str) -> Authority:
    made = Authority(folder / f"{name}.crt", folder / f"{name}.key")
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", str(made.key), "-out", str(made.certificate),
    )  # fmt: skip
    return made


def a_certificate(authority: Authority, folder: Path, names: str) -> tuple[str, str]:
    """Certificate and private key of a server, as PEM; `names`: its subjectAltName."""
    request, key, signed, extensions = (folder / f"server.{kind}" for kind in ("csr", "key", "crt", "ext"))
    extensions.write_text(f"subjectAltName={names}\n")
    openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
        "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    openssl(
        "x509", "-req", "-in", str(request), "-CA", str(authority.certificate), "-CAkey", str(authority.key),
        "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(signed),
    )  # fmt: skip
    return signed.read_text(), key.read_text()
