"""Both command lines: what they say to who asks, to who is mistaken, and to who is on the wrong system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service import VERSION

ROOT = Path(__file__).parents[2]
MODULES = ("service", "loadgen")


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m`` to its end, which comes at once."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def without_numba(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing numba, and so every kernel, fails."""
    (tmp_path / "numba.py").write_text("raise ImportError('no kernel is needed')")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
def test_help_and_version_compile_nothing(module: str, option: str, without_numba: dict[str, str]) -> None:
    """Both commands say what they can do, and which they are, without a kernel."""
    done = command(module, option, **without_numba)
    assert (done.returncode, done.stderr) == (0, "")
    if option == "--version":
        assert done.stdout == f"tenfold {VERSION}\n"
    else:
        assert f"Usage: python -m {module}" in done.stdout


@pytest.mark.parametrize("arguments", [("service",), ("loadgen",), ("loadgen", "run"), ("loadgen", "replay")])
def test_the_help_fits_a_terminal_and_has_no_jargon(arguments: tuple[str, ...]) -> None:
    """At 80 columns options stand beside what they are for, and bounds are written as people write them."""
    done = command(*arguments, "-h", COLUMNS="80")
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines if "python -m" not in line)
    assert not [line for line in lines if "RANGE" in line or "<=" in line or "x>" in line]
    begun = [line for line in lines[lines.index("Options:") :] if line.startswith("  -")]
    assert all("  " in line.strip() for line in begun), "an option has a line of its own, away from its text"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("service --port x", "tenfold: --port must be a whole number from 0 to 65535, not 'x'"),
        ("service --port 65536", "tenfold: --port must be a whole number from 0 to 65535, not '65536'"),
        ("service --max-body 1.5", "tenfold: --max-body must be a whole number of at least 1024, not '1.5'"),
        ("service --idle-seconds nan", "tenfold: --idle-seconds must be a number of at least 0.1, not 'nan'"),
        ("service --log-format xml", "tenfold: --log-format must be text or json, not 'xml'"),
        ("service --port", "tenfold: --port needs a value"),
        ("service --preallocate=1", "tenfold: --preallocate takes no value"),
        ("service --nothing-like-it", "tenfold: there is no option --nothing-like-it"),
        ("service --preallocat", "tenfold: there is no option --preallocat; is it --preallocate?"),
        ("service extra", "tenfold: it is not clear what extra is for"),
        ("loadgen fly", "loadgen: there is no command fly"),
        ("loadgen run --seed -1", "loadgen: --seed must be a whole number of at least 0, not '-1'"),
        ("loadgen run --rate x", "loadgen: --rate: 'x' is not max, 0, or a rate such as 200/s"),
        ("loadgen reproduce --place 1 --k 1", "loadgen: --batches is missing"),
        ("loadgen replay", "loadgen: FILE is missing"),
    ],
)
def test_a_mistake_is_one_plain_line(arguments: str, line: str, without_numba: dict[str, str]) -> None:
    """It says what is wanted and what was given instead; the exit code is 2, and nothing is compiled first."""
    done = command(*arguments.split(), **without_numba)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")


@pytest.mark.parametrize(
    ("module", "name", "value", "line"),
    [
        ("service", "TENFOLD_PORT", "x", "tenfold: TENFOLD_PORT must be a whole number from 0 to 65535, not 'x'"),
        ("service", "TENFOLD_MAX_K", "9", "tenfold: TENFOLD_MAX_K must be a whole number from 1 to 8, not '9'"),
        ("service", "TENFOLD_PREALLOCATE", "maybe", "tenfold: TENFOLD_PREALLOCATE must be 1 or 0, not 'maybe'"),
        ("service", "TENFOLD_LOG_FORMAT", "xml", "tenfold: TENFOLD_LOG_FORMAT must be text or json, not 'xml'"),
        ("loadgen", "TENFOLD_TOKEN", "a b", "loadgen: TENFOLD_TOKEN: a token has"),
    ],
)
def test_a_mistake_in_the_environment_is_blamed_on_it(module: str, name: str, value: str, line: str) -> None:
    """The variable is named, not an option that nobody gave; an option beside it is right and wins."""
    arguments = (module, "check") if module == "loadgen" else (module,)
    done = command(*arguments, **{name: value})
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(line)


@pytest.mark.parametrize("module", MODULES)
def test_another_system_is_one_plain_line(module: str) -> None:
    """Where there is no Linux, that is what is said, before something is imported that there is only on Linux."""
    code = f"""
import fcntl, os, runpy, sys
import click, rich.console
del os.sched_getaffinity, os.memfd_create
sys.modules["fcntl"] = sys.modules["resource"] = None
sys.platform = "darwin"
runpy.run_module({module!r}, run_name="__main__")"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "needs Linux" in done.stderr
    assert "darwin" in done.stderr
