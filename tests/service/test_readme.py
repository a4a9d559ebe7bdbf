"""What the README tells people to paste does what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.support.process import running
from tests.support.readme import ADDRESS, blocks, commands, paste


def matches(printed: str, answer: object) -> bool:
    """Whether an answer is the printed one to the letter, or begins as it does where an ellipsis cuts it short."""
    text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
    return text.startswith(printed.split(", …", 1)[0]) if "…" in printed else text == printed.strip()


def test_every_command_answers_as_printed(tmp_path: Path) -> None:
    """Each curl command, as pasted and in its order, answers what is printed below it."""
    told = [(command, below) for command, below in commands() if "Bearer" not in command]
    assert len(told) >= 7
    with running("--workers", "1") as process:
        for command, below in told:
            answer = paste(command, process.url, tmp_path)
            if below.language == "json":
                assert matches(below.text, json.loads(answer)), answer
            else:  # figures that change; their names do not
                names = {line.split("{")[0] for line in below.text.splitlines()}
                assert names <= {line.split("{")[0] for line in answer.splitlines()}


def test_the_way_with_a_token_and_401_works_as_pasted(tmp_path: Path) -> None:
    """The tokens are made, the service takes them, and the batch is added with one and refused without."""
    ((command, _),) = [(command, below) for command, below in commands() if "Bearer" in command]
    (making,) = [block.text for block in blocks() if "secrets" in block.text]
    *making_lines, start = making.splitlines()
    assert start == 'make serve ARGS="--token-file tokens"'
    paste("\n".join(making_lines), "", tmp_path)
    with running("--workers", "1", "--token-file", str(tmp_path / "tokens")) as process:
        assert json.loads(paste(command, process.url, tmp_path)) == {"symbol": "EURUSD", "added": 4, "count": 4}
        unauthorized = paste(
            re.sub(r'-H "Authorization.*?" tokens\)" |-H "Authorization.*tokens\)"', "", command), process.url, tmp_path
        )
        assert json.loads(unauthorized)["status"] == 401


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
