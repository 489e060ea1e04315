"""Installs the Debian packages that some tests need, where that may be done (root and apt); else says so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What a test names with @pytest.mark.needs, the package that brings it, and how to find it.
PACKAGES = {
    "chromium": "chromium",
    "npm": "npm",
    "postgresql": "postgresql",
    "psql": "postgresql-client",
    "mariadbd": "mariadb-server",
    "faketime": "faketime",
    "pgbouncer": "pgbouncer",
    "ip": "iproute2",
    "openssl": "openssl",
    "nginx": "nginx-light",
    "apache2": "libapache2-mod-auth-openidc",
}


def find(tool: str) -> str | None:
    """The path of a tool (for postgresql: the folder of its programs; for faketime: its library), or None."""
    if tool == "postgresql":
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        return str(folders[-1].parent) if folders else None
    if tool == "faketime":
        return next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin")


def main() -> None:
    missing = [package for tool, package in PACKAGES.items() if find(tool) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Not installed, and can't be here: {', '.join(missing)}. The tests that need them are skipped.")
        return
    print(f"Installing {', '.join(missing)} with apt-get …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", *missing]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            sys.exit(f"apt-get could not install {', '.join(missing)}.")


if __name__ == "__main__":
    main()
