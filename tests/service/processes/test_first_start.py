"""A service that was just installed: what its first start says, wherever it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.support.process import ROOT


def test_a_read_only_install_serves_and_warns_once(tmp_path: Path) -> None:
    """Without a place for machine code it compiles first, says so in one line of its log, and serves."""
    for package in ("aggregation", "service"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "aggregation/__pycache__").touch()  # root may write anywhere, but not into a file as into a directory
    inherited = {name: value for name, value in os.environ.items() if name not in {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME"}}
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "service", "--port", "0", "--workers", "2", "--max-k", "4"],
        cwd=tmp_path,
        env={**inherited, "HOME": "/dev/null"},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    assert process.stderr is not None
    try:
        lines += [process.stderr.readline(), process.stderr.readline()]
        listening = re.search(r"http://\S+", lines[1])
        assert listening, lines
        with urllib.request.urlopen(f"{listening[0]}/health/") as answer:  # noqa: S310 - our own service
            assert answer.status == 200
    finally:
        process.kill()
        lines += process.communicate()[1].splitlines()
    assert "WARNING" in lines[0]
    assert "compiling for this processor, some fifteen seconds at every start" in lines[0]
    assert lines[2:] == []
