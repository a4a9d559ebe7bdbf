"""What lies at the top of the repository, and whether what it says of files and versions is so."""

from __future__ import annotations

import re
import shutil
import subprocess
from hashlib import sha256

import pytest

import service
from tests.support.process import ROOT

TOP = {
    *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "pyproject.toml"),
    *("requirements.lock", "requirements-bench.lock", "requirements-dev.lock", "requirements-loadgen.lock"),
    *("aggregation", "docs", "loadgen", "service", "tests"),
}


def test_the_licence_is_the_apache_license_2_0_to_the_letter() -> None:
    """The digest is that of the text which the Apache Software Foundation publishes."""
    digest = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == digest


def test_the_newest_changes_are_those_of_this_version() -> None:
    """Versions go down from the one that the service has."""
    versions = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == service.VERSION
    assert versions == sorted(versions, reverse=True)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "README.md"])
def test_every_file_that_is_named_is_there(name: str) -> None:
    """Paths and links to files, and the targets of make, are those of this repository."""
    text = (ROOT / name).read_text()
    rooms = "aggregation|docs|loadgen|service|tests|.ci"
    named = re.findall(rf"(?<![\w/])(?:{rooms})/[\w./-]*", text) + re.findall(r"\]\(([\w./-]+)\)", text)
    assert [one for one in named if not (ROOT / one.rstrip(".")).exists()] == []
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*re.findall(r"`make ([\w-]+)", text)} <= {*targets}


def test_nothing_else_lies_at_the_top() -> None:
    """What git knows at the top has its reason."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.partition("/")[0] for line in listed.splitlines()} == TOP
