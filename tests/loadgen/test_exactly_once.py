"""Each batch once, through lost answers, and all of it read back: the command line."""

from __future__ import annotations

import re

import pytest

from tests.support.commands import SMALL, loadgen, serving, within


@pytest.mark.parametrize("wire", ["json", "binary"])
def test_every_batch_is_in_once_though_answers_are_lost(wire: str) -> None:
    """With --exactly-once and a server that cuts connections before and after it appends, an audit finds every bit.

    No answer is left unchecked, since every batch is known to be in; without, a batch that was cut off is missing.
    """
    sent = ("--symbols", "2", "--batch-size", "1-300", "--prices", "jump")
    run = ("run", *sent, "--batches", "8", "--duration", "20", "--keep", "--wire", wire)
    with serving("cuts") as cutting:
        done = loadgen(*run, "--url", cutting.url, "--exactly-once")
        assert done.returncode == 4, done.stdout + done.stderr
        assert " × 412" in done.stdout
        assert re.search(r"answers +[1-9]\d* right, 0 wrong, 0 unchecked", done.stdout), done.stdout
        audited = within("audit", "--url", cutting.url, *sent)
        assert audited.exit_code == 0, audited.output
        assert audited.output.count(": 8 batches, ") == 2
    with serving("cuts") as cutting:
        assert loadgen(*run, "--url", cutting.url).returncode == 4
        audited = within("audit", "--url", cutting.url, *sent)
        assert audited.exit_code == 3, audited.output


def test_a_batch_that_is_added_twice_is_found_out() -> None:
    """A server that heeds no position adds a batch a second time: exit code 3, and the audit finds it, too."""
    with serving("twice") as careless:
        done = loadgen("run", "--url", careless.url, *SMALL, "--exactly-once", "--keep")
        assert done.returncode == 3, done.stdout + done.stderr
        assert within("audit", "--url", careless.url, "--batch-size", "1-300").exit_code == 3


def test_a_batch_is_sent_again_after_503_until_it_is_in() -> None:
    """With --exactly-once nothing is missing behind a refusal that may pass."""
    with serving("most", "503") as busy:
        done = loadgen("run", "--url", busy.url, *SMALL, "--exactly-once", "--keep", "--duration", "30")
        assert done.returncode == 4, done.stdout + done.stderr
        audited = within("audit", "--url", busy.url, "--batch-size", "1-300")
        assert audited.exit_code == 0, audited.output
        assert audited.output.count(": 6 batches, ") == 2


@pytest.mark.parametrize("kind", ["float32", "drops", "miscounts"])
def test_an_audit_finds_what_is_not_as_it_was_sent(kind: str) -> None:
    """Rounded or missing prices are exit code 3; so are symbols that are not there."""
    with serving(kind) as wrong:
        options = ("--url", wrong.url, "--prices", "jump", "--batch-size", "1-300")
        assert within("audit", *options).exit_code == 3
        loadgen("run", *options, "--symbols", "2", "--batches", "5", "--keep")
        audited = within("audit", *options)
        assert audited.exit_code == 3, audited.output
        assert "position" in audited.output
