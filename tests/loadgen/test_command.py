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

import pytest

from tests.loadgen.servers import WRONG
from tests.support.commands import EURUSD, SMALL, begun, loadgen, report_of, serving, within
from tests.support.process import Process, running


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
