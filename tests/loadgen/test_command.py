"""The command line, against servers that are right, wrong, stopped or gone."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loadgen.servers import WRONG
from tests.support.commands import begun, loadgen, serving, within
from tests.support.credentials import issue, token_file
from tests.support.process import ROOT, Process, running

SMALL = ("--symbols", "2", "--batches", "6", "--batch-size", "1-300", "--duration", "5")
EURUSD = ROOT / "tests" / "data" / "prices" / "eurusd_ticks.csv"


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving("right") as process:
        yield process


def test_a_right_server_is_found_right(server: Process) -> None:
    """Against a correct server every answer is right and the exit code is 0, for run and check alike."""
    done = loadgen("run", "--url", server.url, "--prefix", "RIGHT-", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    right, wrong, unchecked = map(
        int, re.findall(r"answers +(\d+) right, (\d+) wrong, (\d+) unchecked", done.stdout)[0]
    )
    assert right >= 10
    assert (wrong, unchecked) == (0, 0)
    checked = within("check", "--url", server.url)
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_server_is_found_out(kind: str) -> None:
    """Each mistake ends a run and a check with exit code 3, and what is printed shows it again."""
    with serving(kind) as wrong:
        done = loadgen("run", "--url", wrong.url, *SMALL)
        assert done.returncode == 3, done.stdout + done.stderr
        for part in ("WRONG ANSWER", "request", "state", "seed      1", "expected", "got"):
            assert part in done.stdout
        again = re.findall(r"again +python -m loadgen (.+)", done.stdout)[0].split()
        repeated = within(*again)
        assert repeated.exit_code == 3, repeated.output
        assert "expected" in repeated.output
        checked = within("check", "--url", wrong.url)
        assert checked.exit_code == 3
        assert "are exact\n   found" in checked.output


def test_what_was_wrong_elsewhere_is_right_here(server: Process) -> None:
    """The same question to a correct server is answered rightly: reproduce does not just say 3."""
    arguments = ("--seed", "1", "--batch-size", "1-300", "--place", "1", "--batches", "4", "--k", "2")
    assert within("reproduce", "--url", server.url, *arguments).exit_code == 0


def test_prices_arrive_in_binary_as_well(server: Process) -> None:
    """With --wire binary every answer is right, too, and what was wrong is said to be seen again that way."""
    sizes = ("--wire", "binary", "--prices", "jump")
    done = loadgen("run", "--url", server.url, "--prefix", "BINARY-", *SMALL, *sizes)
    assert done.returncode == 0, done.stdout + done.stderr
    with serving("float32") as wrong:
        done = loadgen("run", "--url", wrong.url, *SMALL, *sizes)
        assert done.returncode == 3
        again = re.findall(r"again +python -m loadgen (.+)", done.stdout)[0].split()
        assert again[again.index("--wire") + 1] == "binary"
        assert within(*again).exit_code == 3


def test_one_seed_sends_the_same_bytes(tmp_path: Path) -> None:
    """Bodies per symbol are the same in two runs of one seed, also with other processes; another seed sends others."""
    sent = []
    for number, options in enumerate((["--seed", "5"], ["--seed", "5", "--processes", "2"], ["--seed", "6"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving("right", "0", str(folder)) as recording:
            done = loadgen("run", "--url", recording.url, *SMALL, "--prices", "jump", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        sent.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert sorted(sent[0]) == ["LOAD-0", "LOAD-1"]
    assert sent[0] == sent[1]
    assert sent[0]["LOAD-0"] != sent[2]["LOAD-0"]
    first = json.loads(b"[" + sent[0]["LOAD-0"].replace(b"}{", b"},{") + b"]")
    assert len(first) == 6
    assert {batch["symbol"] for batch in first} == {"LOAD-0"}


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


def report_of(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    assert isinstance(document, dict)
    return document


def test_a_stopped_server_shows_in_response_time(tmp_path: Path) -> None:
    """A server that stands still is in the open model's p99 of response time; service time alone would not show it."""
    path = tmp_path / "stopped.json"
    with serving("right") as stopping:
        run = begun(
            *("run", "--url", stopping.url, "--symbols", "2", "--batch-size", "10", "--duration", "4.5"),
            *("--rate", "10/s", "--poll-rate", "100/s", "--report", str(path)),
        )
        stopping.signal_all(signal.SIGSTOP)
        time.sleep(2)
        stopping.signal_all(signal.SIGCONT)
        run.communicate(timeout=30)
    report = report_of(path)
    stats = report["endpoints"]["stats"]
    assert stats["response"]["count"] > 500
    # Two lanes, so at most two polls were on their way when it stopped: less than one in a hundred.
    assert stats["response"]["p99"] > 1e6 > stats["service"]["p99"]
    assert report["answers"]["wrong"] == 0


def test_a_stopped_generator_says_so(tmp_path: Path) -> None:
    """A generator that stood still itself is exit code 5: the figures are its own."""
    path = tmp_path / "saturated.json"
    with serving("right") as patient:
        run = begun(
            *("run", "--url", patient.url, "--symbols", "1", "--batch-size", "10", "--duration", "4"),
            *("--rate", "10/s", "--poll-rate", "50/s", "--report", str(path)),
        )
        os.killpg(run.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.killpg(run.pid, signal.SIGCONT)
        shown, _ = run.communicate(timeout=30)
    assert run.returncode == 5, shown
    assert "saturated: requests were sent late" in shown
    assert "sent late" in report_of(path)["generator"]["saturated"]


def test_a_missed_objective_is_exit_code_1(server: Process) -> None:
    """One objective that is met and one that is missed: exit code 1, and both are shown."""
    options = ("--slo", "stats.max<60s", "--slo", "stats.rate>=100000000/s")
    done = loadgen("run", "--url", server.url, "--prefix", "SLO-", *SMALL, *options)
    assert done.returncode == 1, done.stdout
    assert "stats.max<60s: met" in done.stdout
    assert "stats.rate>=100000000/s: missed" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("run", "--url", "ftp://127.0.0.1"),
        ("run", "--rate", "fast"),
        ("run", "--slo", "quick"),
        ("run", "--batch-size", "0"),
        ("run", "--rate", "0", "--poll-rate", "0"),
        ("run", "--report", "/no/such/folder/report.json"),
        ("run", "--prices", "sine"),
        ("run", "--exactly-once", "--overlap"),
        ("run", "--exactly-once", "--append"),
        ("run", "--prices", "file:/no/such/file"),
        ("replay", "/no/such/file", "--symbol", "A"),
        ("replay", str(EURUSD), "--symbol", "A", "--column", "ask"),
        ("replay", str(EURUSD), "--symbol", "A", "--rate", "0"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """What cannot be carried out as given is said in a line, without a traceback, before anything is sent."""
    done = within(*arguments)
    assert done.exit_code == 2
    assert "Usage" in done.output


def test_prices_of_others_are_refused_or_left_unchecked(server: Process) -> None:
    """A symbol that holds prices is refused; with --append only windows that this run filled are checked."""
    options = (
        "run",
        "--url",
        server.url,
        "--prefix",
        "HELD-",
        "--symbols",
        "1",
        "--batches",
        "8",
        "--batch-size",
        "40",
        "--keep",
    )
    assert loadgen(*options).returncode == 0
    refused = loadgen(*options)
    assert refused.returncode == 2
    assert "--append" in refused.stderr
    done = loadgen(*options, "--append")
    assert done.returncode == 0, done.stdout
    right, unchecked = map(int, re.findall(r"(\d+) right, 0 wrong, (\d+) unchecked", done.stdout)[0])
    assert right >= 1
    assert unchecked >= 1
    nothing = loadgen("run", "--url", server.url, "--prefix", "NOBODY-", "--rate", "0")
    assert nothing.returncode == 2
    assert "nothing to poll" in nothing.stderr


def test_windows_beyond_the_oracles_memory_are_shown(server: Process) -> None:
    """What the oracle cannot check is counted as unchecked, and is not among the right ones."""
    options = ("--symbols", "1", "--batches", "40", "--batch-size", "10000", "--oracle-memory", "0.001")
    done = loadgen("run", "--url", server.url, "--prefix", "MEMORY-", *options)
    assert done.returncode in {0, 5}, done.stdout
    right, unchecked = map(int, re.findall(r"(\d+) right, 0 wrong, (\d+) unchecked", done.stdout)[0])
    assert right >= 12
    assert unchecked >= 1
    assert "beyond the oracle's memory" in done.stdout


@pytest.mark.parametrize("status", ["409", "503"])
def test_failed_requests_are_exit_code_4(status: str) -> None:
    """A server that refuses every batch: exit code 4, with the status counted."""
    with serving("right", status) as refusing:
        done = loadgen("run", "--url", refusing.url, *SMALL)
    assert done.returncode == 4, done.stdout
    assert f"12 × {status}" in done.stdout
    assert "0 wrong" in done.stdout


def test_no_server_is_exit_code_4() -> None:
    """Nobody listens: one line and exit code 4, for run, check and reproduce."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    again = ("reproduce", "--url", url, "--place", "0", "--batches", "1", "--k", "1")
    for arguments in (("run", "--url", url), ("check", "--url", url), again):
        done = within(*arguments)
        assert done.exit_code == 4, done.output
        assert "does not answer" in done.output or "answers every request" in done.output


def test_a_server_that_goes_ends_the_run() -> None:
    """A server that is killed in mid-run: the run ends early with a report and exit code 4, and no answer is wrong."""
    with serving("right") as dying:
        run = begun("run", "--url", dying.url, "--batch-size", "10", "--rate", "20/s", "--duration", "60")
        dying.signal_all(signal.SIGKILL)
        shown, _ = run.communicate(timeout=30)
    assert run.returncode == 4, shown
    assert "the service has not answered" in shown
    assert "0 wrong" in shown


def test_ctrl_c_ends_with_a_full_report(server: Process, tmp_path: Path) -> None:
    """The first Ctrl-C stops the sending; what was answered is checked, shown and written all the same."""
    path = tmp_path / "stopped.json"
    run = begun(
        *("run", "--url", server.url, "--prefix", "CTRLC-", "--symbols", "2", "--batch-size", "10"),
        *("--duration", "60", "--rate", "20/s", "--poll-rate", "20/s", "--report", str(path)),
    )
    os.killpg(run.pid, signal.SIGINT)
    shown, _ = run.communicate(timeout=20)
    assert run.returncode in {0, 5}, shown
    assert "by Ctrl-C" in shown
    report = report_of(path)
    assert report["answers"]["right"] == sum(report["endpoints"]["stats"]["statuses"].values()) > 0


def test_overlapping_requests_are_checked(server: Process) -> None:
    """With the promise broken, every answer of a correct server is found right, also on few connections."""
    for prefix, connections in (("OVER-", ()), ("FEW-", ("--connections", "3"))):
        options = ("--overlap", "--symbols", "2", "--batches", "40", "--batch-size", "1-200", *connections)
        done = loadgen("run", "--url", server.url, "--prefix", prefix, *options)
        assert done.returncode in {0, 5}, done.stdout
        assert int(re.findall(r"(\d+) right, 0 wrong, 0 unchecked", done.stdout)[0]) >= 40


def test_reports_are_written(server: Process, tmp_path: Path) -> None:
    """JSON, CSV and PNG hold the run: the same counts everywhere, and a picture that is one."""
    report, seconds, picture = tmp_path / "run.json", tmp_path / "run.csv", tmp_path / "run.png"
    written = ("--report", str(report), "--csv", str(seconds), "--plot", str(picture))
    options = ("--symbols", "2", "--rate", "20/s", "--poll-rate", "40/s", "--batch-size", "20", "--duration", "2")
    done = loadgen("run", "--url", server.url, "--prefix", "FILES-", "--warmup", "0.5", *options, *written)
    assert done.returncode in {0, 5}, done.stdout + done.stderr
    document = report_of(report)
    assert document["schema"] == 1
    assert document["exit"] == done.returncode
    assert document["plan"]["seed"] == 1
    answers = document["endpoints"]["stats"]["response"]
    assert 0 < answers["p50"] <= answers["p99"] <= answers["p99.99"] <= answers["max"]
    rows = list(csv.DictReader(seconds.read_text().splitlines()))
    for name in ("add_batch", "stats"):
        counted = sum(int(row["answers"]) for row in rows if row["endpoint"] == name)
        assert counted == document["endpoints"][name]["response"]["count"]
        # The warm-up is not measured: 2 symbols for 2 s, give or take those at its edges.
        expected = {"add_batch": 80, "stats": 160}[name]
        assert expected - 4 <= counted <= expected
        assert sum(document["endpoints"][name]["statuses"].values()) > counted
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_real_prices_are_replayed(server: Process) -> None:
    """Every price of a file is sent, once and in order: the oracle knows, and so does the count."""
    done = loadgen("replay", str(EURUSD), "--url", server.url, "--symbol", "EURUSD", "--batch-size", "300")
    assert done.returncode == 0, done.stdout
    assert "10,000 in" in done.stdout
    assert re.search(r"[1-9]\d* right, 0 wrong, 0 unchecked", done.stdout)


def test_the_real_service_stands() -> None:
    """Our own service passes check, a run with overlap, a run without, and a replay."""
    with running() as real:
        for arguments in (
            ("check",),
            ("run", "--symbols", "3", "--duration", "1", "--batch-size", "1-10000", "--prices", "jump"),
            ("run", "--symbols", "2", "--duration", "1", "--overlap", "--prefix", "OVERLAP-"),
            ("replay", str(EURUSD), "--symbol", "EURUSD", "--batch-size", "100"),
            ("run", "--exactly-once", "--keep", "--duration", "1", "--prefix", "ONCE-"),
            ("audit", "--prefix", "ONCE-"),
        ):
            done = loadgen(arguments[0], *arguments[1:], "--url", real.url)
            assert done.returncode in {0, 5}, done.stdout + done.stderr


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


def test_a_missed_rate_ends_the_run(server: Process) -> None:
    """With --abort-if-rate-missed a run ends within seconds with the reason, exit code 1; without, it only says so."""
    options = ("--url", server.url, "--symbols", "1", "--batch-size", "10", "--poll-rate", "1000000/s")
    aborted = loadgen("run", *options, "--prefix", "ABORT-", "--duration", "50", "--abort-if-rate-missed")
    assert aborted.returncode in {1, 5}, aborted.stdout
    assert re.search(r"missed +stats came to [\d,]+/s of 1,000,000/s: ", aborted.stdout), aborted.stdout
    patient = loadgen("run", *options, "--prefix", "LATE-", "--duration", "1.5")
    assert patient.returncode in {0, 5}, patient.stdout
    assert "missed     stats came to" in patient.stdout


def test_a_kept_rate_is_not_missed(server: Process) -> None:
    """A rate that the service can do ends with exit code 0, aborted by nothing."""
    options = ("--symbols", "2", "--batch-size", "10", "--rate", "10/s", "--duration", "2", "--abort-if-rate-missed")
    done = loadgen("run", "--url", server.url, "--prefix", "KEPT-", *options)
    assert done.returncode in {0, 5}, done.stdout
    assert "missed" not in done.stdout
