"""The service on a terminal: every line that reaches it is one of ours."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys

from tests.support.process import ROOT, children

OURS = re.compile(
    r"\S+Z (INFO|WARNING) \d+ "
    r"(compiling for|tenfold listens on|worker \d+ \(process|worker \d+ is replaced|stopping$|stopped$)"
)


def test_only_our_lines_reach_a_terminal() -> None:
    """Start, a killed worker, a stop: the framework sees a terminal, and has nothing to say on it all the same."""
    terminal, inner = pty.openpty()
    command = [sys.executable, "-m", "service", "--port", "0", "--workers", "2", "--max-k", "4"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
    os.close(inner)
    shown = ""

    def read_until(text: str) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(terminal, 65536).decode()

    try:
        read_until("tenfold listens on")
        os.kill(children(process.pid)[0], signal.SIGKILL)
        read_until("is replaced by process")
        os.kill(process.pid, signal.SIGINT)
        read_until("stopped")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    lines = shown.splitlines()
    assert len(lines) >= 5
    assert [line for line in lines if not OURS.match(line)] == []
