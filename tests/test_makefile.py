"""The environment that make makes: whole, or not there for the next make."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PYTHON = """#!/bin/sh
echo "$@" >> calls
case "$*" in
    "-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp python .venv/bin; {venv} ;;
    *ensurepip*) {ensurepip} ;;
    *"pip"*) {pip} ;;
esac
"""
"""Stands for Python, also for the one in the environment; notes how it was called."""


class Desk:
    """A folder with the Makefile, and a Python of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, folder)

    def make(
        self, *, venv: str = "true", ensurepip: str = "true", pip: str = "true"
    ) -> subprocess.CompletedProcess[str]:
        python = self.folder / "python"
        python.write_text(PYTHON.format(venv=venv, ensurepip=ensurepip, pip=pip))
        python.chmod(0o755)
        (self.folder / "calls").write_text("")
        return subprocess.run(
            ["make", "serve", "PYTHON=./python"],  # noqa: S607 - whichever make there is
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )

    def called(self, what: str) -> bool:
        return what in (self.folder / "calls").read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("broken", [{"ensurepip": "exit 1"}, {"venv": "exit 1"}])
def test_without_python3_venv_nothing_is_left(desk: Desk, broken: dict[str, str]) -> None:
    """One line says what to install, no half environment stays behind, and after that it works."""
    done = desk.make(**broken)
    assert done.returncode == 2
    assert done.stdout == "this Python makes no virtual environments: apt-get install python3-venv\n"
    assert not (desk.folder / ".venv").exists()
    assert desk.make().returncode == 0
    assert desk.called("-m service")


@pytest.mark.parametrize("end", ["exit 1", "kill -9 0"])
def test_what_was_cut_off_is_made_anew(desk: Desk, end: str) -> None:
    """After pip has failed, or was killed with all of make, the next make begins with an empty environment, once."""
    assert desk.make(pip=f"touch .venv/half; {end}").returncode != 0
    assert (desk.folder / ".venv/half").exists()
    assert desk.make().returncode == 0
    assert desk.called("-m venv --clear")
    assert not (desk.folder / ".venv/half").exists()
    assert desk.make().returncode == 0
    assert not desk.called("pip")


def test_new_requirements_go_into_the_same_environment(desk: Desk) -> None:
    """A lock file that has changed is installed, into what is there."""
    assert desk.make().returncode == 0
    later = (desk.folder / ".venv/.runtime").stat().st_mtime + 1
    os.utime(desk.folder / "requirements.lock", (later, later))
    assert desk.make().returncode == 0
    assert desk.called("pip")
    assert not desk.called("venv --clear")
