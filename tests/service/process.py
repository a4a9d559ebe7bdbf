"""A tenfold of its own process, started as the README says, on a port that it chose."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Process:
    """A running service; its log so far is in ``log``."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "service", *arguments],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.log: list[str] = []
        self.url = ""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.log.append(line)
            if listening := re.search(r"http://\S+:\d+", line):
                self.url = listening[0]
                return
        self.popen.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(number)
        _, rest = self.popen.communicate(timeout=20)
        self.log.append(rest)
        return self.popen.returncode


@contextmanager
def running(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """A service on a free port, gone at the end whatever happens."""
    process = Process("--port", "0", *arguments, env=env)
    try:
        assert process.url, process.log
        yield process
    finally:
        if process.popen.poll() is None:
            os.killpg(process.popen.pid, signal.SIGKILL)
        process.popen.communicate()
