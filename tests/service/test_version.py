from __future__ import annotations

import tomllib
from pathlib import Path

import service

ROOT = Path(__file__).parents[2]


def test_the_version_is_said_once() -> None:
    """What installs the project asks ``service`` for its version, by the name that it has there."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert configuration["project"]["dynamic"] == ["version"]
    module, _, name = configuration["tool"]["setuptools"]["dynamic"]["version"]["attr"].partition(".")
    assert (module, getattr(service, name)) == ("service", service.VERSION)
