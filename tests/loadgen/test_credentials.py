"""TLS and tokens: the command line, against a service that lets in only some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import EURUSD, SMALL, loadgen, report_of, within
from tests.support.credentials import issue, token_file
from tests.support.process import Process, running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str]]:
    """The real service over TLS, with a token for writing, and the authority to trust."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate = issue(folder)
    with running(*certificate.options, *token_file(folder, write=TOKEN), workers=1, max_k=5) as service:
        assert service.url.startswith("https://")
        yield service, str(certificate.ca)


TOKEN = "loadgen-0123456789abcdef"  # noqa: S105 - of a service that lives for a test


def test_a_run_over_tls_with_a_token_is_right(
    guarded: tuple[Process, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Batches larger than a socket's buffer, polls and checks all get through the handshake and past the guard."""
    service, ca = guarded
    monkeypatch.setenv("TENFOLD_TOKEN", TOKEN)
    path = tmp_path / "run.json"
    sizes = ("--symbols", "3", "--batches", "8", "--batch-size", "10000", "--prices", "jump", "--duration", "20")
    done = loadgen("run", "--url", service.url, "--ca", ca, *sizes, "--report", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_of(path)
    assert report["endpoints"]["add_batch"]["statuses"] == {"200": 24}
    assert report["answers"]["right"] >= 24
    assert (report["answers"]["wrong"], report["answers"]["unchecked"]) == (0, 0)
    assert report["plan"]["url"] == service.url
    assert TOKEN not in done.stdout + done.stderr + path.read_text()
    checked = within("check", "--url", service.url, "--ca", ca)
    assert checked.exit_code == 0, checked.output
    again = ("--place", "0", "--batches", "2", "--k", "2", "--batch-size", "100")
    assert within("reproduce", "--url", service.url, "--ca", ca, *again).exit_code == 0
    ticks = ("replay", str(EURUSD), "--symbol", "EURUSD", "--batch-size", "5000")
    assert loadgen(*ticks, "--url", service.url, "--ca", ca).returncode == 0


def test_who_is_not_let_in_is_told(guarded: tuple[Process, str], tmp_path: Path) -> None:
    """Without a token, with one that is not known, or before a certificate that is not trusted, it says so and ends."""
    service, ca = guarded
    for token in ((), ("--token", "unknown-0123456789")):
        done = within("run", "--url", service.url, "--ca", ca, *SMALL, *token)
        assert done.exit_code == 4
        assert "wants a token" in done.output
    for trusted in ((), ("--ca", str(issue(tmp_path).ca))):
        done = within("run", "--url", service.url, *SMALL, *trusted)
        assert done.exit_code == 4
        assert "certificate verify failed" in done.output.lower()


def test_a_certificate_of_another_host_is_not_trusted(guarded: tuple[Process, str]) -> None:
    """The name in the URL must be in the certificate; that the authority is trusted does not do."""
    service, ca = guarded
    another = service.url.replace("127.0.0.1", "127.1")  # which leads to the same address
    done = within("check", "--url", another, "--ca", ca)
    assert done.exit_code == 4
    assert "certificate is not valid for '127.1'" in " ".join(done.output.split())


@pytest.mark.parametrize(
    "options",
    [
        ("--ca", "/nowhere.pem"),
        ("--ca", __file__),
        ("--url", "http://127.0.0.1:1", "--ca", "/nowhere.pem"),
        ("--token", "two words"),
    ],
)
def test_bad_credentials_are_a_usage_error(options: tuple[str, ...]) -> None:
    """An authority that cannot be used, or a token that cannot be sent, is exit code 2."""
    done = within("check", "--url", "https://127.0.0.1:1", *options)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
