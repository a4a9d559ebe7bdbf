from __future__ import annotations

import signal
import socket

import httpx
import pytest

from tests.support.process import command, running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_stops_cleanly_upon_sigterm_and_sigint(number: signal.Signals) -> None:
    """The real process serves a batch and its statistics over a socket, and a signal ends it with exit code 0."""
    with running() as process:
        with httpx.Client(base_url=process.url) as client:
            assert client.get("/health/").json()["status"] == "ok"
            receipt = client.post("/add_batch/", json={"symbol": "EURUSD", "values": [1.0, 2.0, 4.0]})
            assert receipt.json() == {"symbol": "EURUSD", "added": 3, "count": 3}
            stats = client.get("/stats/", params={"symbol": "EURUSD", "k": 4}).json()
            assert {name: stats[name] for name in ("min", "max", "last")} == {"min": 1.0, "max": 4.0, "last": 4.0}
            # With the connection still open: an idle client must not hold up the stop.
            assert process.stop(number) == 0
        process.assert_no_defect()


def test_the_start_line_says_where_and_how_much() -> None:
    """The first line names the address and the memory of full retention."""
    with running(workers=2, max_symbols=3, max_k=6) as process:
        assert process.url.startswith("http://127.0.0.1:")
        # 10^6 prices: 1 MB of hot ones, and 2 MB if they compress, or else three boxes of 8 MB; times three.
        assert (
            "with 2 workers and room for 3 symbols of 1,000,000 prices: "
            "up to 0.01 GB if prices have few digits, 0.08 GB whatever they are"
        ) in process.log[-1]


def test_options_may_come_from_the_environment() -> None:
    """Each option has its TENFOLD_ variable; the command line wins."""
    env = {"TENFOLD_MAX_SYMBOLS": "1", "TENFOLD_MAX_K": "5", "TENFOLD_PORT": "1"}
    with running(max_k=2, env=env) as process, httpx.Client(base_url=process.url) as client:
        assert client.post("/add_batch/", json={"symbol": "A", "values": [1]}).status_code == 200
        assert client.post("/add_batch/", json={"symbol": "B", "values": [1]}).status_code == 409
        assert client.get("/stats/", params={"symbol": "A", "k": 2}).status_code == 200
        assert client.get("/stats/", params={"symbol": "A", "k": 3}).status_code == 400


def test_max_batch_is_the_limit_of_a_batch_422() -> None:
    """The largest batch is configurable, and one price more is refused."""
    with running(max_batch=20, max_k=1) as process, httpx.Client(base_url=process.url) as client:
        assert client.post("/add_batch/", json={"symbol": "A", "values": [1.0] * 20}).status_code == 200
        assert client.post("/add_batch/", json={"symbol": "A", "values": [1.0] * 21}).status_code == 422


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "x"),
        ("--port", "65536"),
        ("--max-k", "0"),
        ("--max-k", "9"),
        ("--max-symbols", "0"),
        ("--max-body", "1"),
        ("--no-such-option",),
        ("extra",),
        ("--host", "256.256.256.256"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    """A mistake on the command line is answered with one clear line, not a traceback."""
    done = command(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tenfold: ")
    assert done.stdout == ""


def test_a_taken_port_is_one_line_and_exit_code_2() -> None:
    """A port that somebody else listens on is named in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("--port", str(port))
    assert done.returncode == 2
    assert done.stderr == f"tenfold: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


def test_the_port_is_free_at_once_after_a_stop_by_sigterm() -> None:
    """A new start works on the same port right after a stop, also while old connections linger."""
    with running() as first, httpx.Client(base_url=first.url) as client:
        client.get("/health/")
        first.stop()
        with running(port=first.port) as second:
            assert second.url == first.url
            assert httpx.get(f"{second.url}/health/").status_code == 200
            assert second.stop() == 0


def test_help_names_every_option() -> None:
    """The help says what each option is for, with its default, and that the environment works too."""
    done = command("--help")
    assert done.returncode == 0
    for option in (
        "--host",
        "--port",
        "--max-symbols",
        "--workers",
        "--max-k",
        "--max-batch",
        "--max-body",
        "--preallocate",
    ):
        assert option in done.stdout
    assert "TENFOLD_PORT" in done.stdout
