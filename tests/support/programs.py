"""Programs from Debian's packages that test the service from outside: where they are, and one that runs for a while."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.support.process import until
from tests.support.sockets import Wire

PACKAGES: Final = {
    "haproxy": "haproxy",
    "nginx": "nginx-light",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "slowhttptest": "slowhttptest",
    "systemd-analyze": "systemd",
}
"""Programs, and which package each is in."""

_PATH: Final = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin"


NGINX: Final = """
daemon off;
master_process off;
pid pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {http}
}}
"""
"""What is around a configuration of nginx where a test starts it, in a folder of its own; {http} is what is tested."""


def demand() -> None:
    """Skip the test where a program is not installed; where CI runs, which installs them all, let it fail."""
    missing = {package for program, package in PACKAGES.items() if shutil.which(program, path=_PATH) is None}
    if missing:
        reason = f"not tested with programs from outside, for want of them: apt-get install {' '.join(sorted(missing))}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def path(program: str) -> str:
    """Where a program is."""
    found = shutil.which(program, path=_PATH)
    assert found is not None
    return found


def ran(program: str, *arguments: str, seconds: float = 60.0) -> str:
    """Run a program to its end, which must be a good one, and return what it printed."""
    command = [path(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(port: int, folder: Path, program: str, *arguments: str) -> Iterator[None]:
    """A program that listens on a port, gone at the end whatever happens; what it prints is in ``folder/printed``."""
    printed = folder / "printed"
    with printed.open("wb") as output:
        popen = subprocess.Popen(
            [path(program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: popen.poll() is not None or _listens(port), 60)
        assert popen.poll() is None, printed.read_text()
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait(20)


def _listens(port: int) -> bool:
    with suppress(ConnectionError), Wire(port):
        return True
    return False
