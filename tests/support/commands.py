"""Servers and load generators as processes of their own, which are gone at the end whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from loadgen.__main__ import main

ROOT = Path(__file__).parents[2]


class Server:
    """A running server: ``url`` is where it listens."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if listening := re.search(r"https?://\S+:\d+", line):
                self.url = listening[0]
                return
        raise AssertionError(f"{module} did not start")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all its children."""
        os.killpg(self.popen.pid, number)


@contextmanager
def serving(kind: str, *arguments: str) -> Iterator[Server]:
    """One of ``servers.KINDS``."""
    yield from _until_done(Server("tests.loadgen.servers", kind, *arguments))


@contextmanager
def tenfold(*arguments: str) -> Iterator[Server]:
    """The real service."""
    yield from _until_done(Server("service", "--port", "0", *arguments))


def _until_done(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.signal(signal.SIGKILL)
        server.popen.communicate()


def begun(*arguments: str) -> subprocess.Popen[str]:
    """A load generator in a session of its own that has shown its first second."""
    run = subprocess.Popen(_command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout is not None
    assert " 1 s " in run.stdout.readline()
    return run


def within(*arguments: str) -> Result:
    """Run a command that starts no processes of its own in this one, which spares a second of imports."""
    return CliRunner().invoke(main, [*arguments])


def loadgen(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a load generator to its end."""
    return subprocess.run(_command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "loadgen", *arguments]
