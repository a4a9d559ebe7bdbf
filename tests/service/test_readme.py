"""What the README tells people to paste does what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise

from tests.service.process import running
from tests.service.readme import Block, blocks

ADDRESS = "http://127.0.0.1:8000"


def matches(printed: str, answer: object) -> bool:
    """Whether an answer is the printed one to the letter, or begins as it does where an ellipsis cuts it short."""
    text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
    return text.startswith(printed.split(", …", 1)[0]) if "…" in printed else text == printed.strip()


def test_every_command_answers_as_printed() -> None:
    """Each curl command, as pasted and in its order, answers what is printed below it."""
    told = blocks()
    pairs: list[tuple[Block, Block]] = [
        (first, second)
        for first, second in pairwise(told)
        if first.text.startswith("curl ") and second.language == "json"
    ]
    assert len(pairs) == sum(block.text.count("curl ") for block in told) >= 3
    with running("--workers", "1") as process:
        for command, printed in pairs:
            pasted = "set -euo pipefail\n" + command.text.replace(ADDRESS, process.url)
            ran = subprocess.run(["/bin/bash", "-c", pasted], capture_output=True, text=True, timeout=30, check=True)
            assert matches(printed.text, json.loads(ran.stdout)), ran.stdout


def test_the_python_client_runs_as_pasted() -> None:
    """The example of a Python client prints what its comment says, and raises where it is refused."""
    (example,) = [block.text for block in blocks() if block.language == "python"]
    expected = re.search(r"print\(.*\)  # (.*)", example)
    assert expected is not None
    with running("--workers", "1") as process:
        pasted = example.replace(ADDRESS, process.url)
        ran = subprocess.run([sys.executable, "-c", pasted], capture_output=True, text=True, timeout=30, check=True)
        assert ran.stdout.strip() == expected[1]
        refused = pasted.replace("1.3]", "1e101]")
        assert refused != pasted
        ran = subprocess.run([sys.executable, "-c", refused], capture_output=True, text=True, timeout=30, check=False)
        assert ran.returncode != 0
        assert "422" in ran.stderr
