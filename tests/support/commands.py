"""Load generators, and the servers that they are tried on."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from loadgen.__main__ import main
from tests.support.process import ROOT, Process, command, until_done

loadgen = partial(command, module="loadgen", seconds=60.0)
"""Run a load generator to its end."""

SMALL = ("--symbols", "2", "--batches", "6", "--batch-size", "1-300", "--duration", "5")
EURUSD = ROOT / "tests" / "data" / "prices" / "eurusd_ticks.csv"


def serving(kind: str, *arguments: str) -> AbstractContextManager[Process]:
    """One of ``servers.KINDS``."""
    return until_done(Process(kind, *arguments, module="tests.loadgen.servers"))


def begun(*arguments: str) -> subprocess.Popen[str]:
    """A load generator in a session of its own that has shown its first second."""
    command = [sys.executable, "-m", "loadgen", *arguments]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout is not None
    assert " 1 s " in run.stdout.readline()
    return run


def within(*arguments: str) -> Result:
    """Run a command that starts no processes of its own in this one, which spares a second of imports."""
    return CliRunner().invoke(main, [*arguments])


def report_of(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    assert isinstance(document, dict)
    return document
