"""What signals do to a running service, and to one that has only begun to start."""

from __future__ import annotations

import os
import re
import select
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from service.settings import Settings
from tests.support.credentials import issue
from tests.support.load import seconds_until_replaced
from tests.support.process import ROOT, Forked, Process, forked, living_members, running, until
from tests.support.sockets import HEALTH, Wire, post, request

OLD, NEW, KEPT = "old-token-0123456789", "new-token-0123456789", "kept-token-0123456789"

SECONDS = 10.0
"""What a container is given between SIGTERM and SIGKILL."""

BATCH = b'{"symbol": "A", "values": [1, 2, 4]}'

AGAIN = "were read again"


def ask(token: str) -> bytes:
    """A query with a token."""
    return request("GET", "/stats?symbol=A&k=1", f"Authorization: Bearer {token}")


def add(token: str) -> bytes:
    return post(BATCH, f"Authorization: Bearer {token}")


def read_again(service: Process | Forked, text: str = AGAIN) -> None:
    """Send SIGHUP, and see that it was followed."""
    before = service.text.count(text)
    os.kill(service.pid, signal.SIGHUP)
    until(lambda: service.text.count(text) > before, SECONDS)


def wait_for(wire: Wire, said: bytes, status: int) -> None:
    """Ask until the answer is this one: workers are told one after the other, and the log comes before the last."""
    until(lambda: wire.ask(said).status == status, SECONDS)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"write {OLD}\nwrite {KEPT}\n")
    return path


@pytest.fixture(params=[False, True], ids=["at the door", "through the framework"])
def asked(request: pytest.FixtureRequest, tokens: Path) -> Iterator[Forked]:
    """A service that asks for tokens."""
    with forked(Settings(workers=2, max_k=2, token_file=str(tokens), no_door=request.param)) as service:
        yield service


def test_sighup_takes_a_token_away_from_open_connections(asked: Forked, tokens: Path) -> None:
    """A token that is taken out of the file is 401 at once, on connections that stay open; a new one is let in."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(asked.port)) for _ in range(8)]
        assert wires[0].ask(add(OLD)).status == 200
        for wire in wires:
            for said in (ask(OLD), ask(KEPT), add(KEPT), add(OLD)) * 2:  # the second time it is remembered
                assert wire.ask(said).status == 200
        tokens.write_text(f"read {NEW}\nwrite {KEPT}\n")
        read_again(asked)
        for wire in wires:
            wait_for(wire, ask(OLD), 401)
            for said, status in ((add(OLD), 401), (ask(NEW), 200), (add(NEW), 403), (ask(KEPT), 200), (add(KEPT), 200)):
                assert wire.ask(said).status == status
    assert asked.symbols.count("A") == 3 * (1 + 8 * 4 + 8)


def test_a_request_that_is_half_sent_at_sighup_is_not_remembered(asked: Forked, tokens: Path) -> None:
    """Who was let in before the token was taken away is answered, and not let in another time."""
    with Wire(asked.port) as wire:
        sent = add(OLD)
        wire.send(sent[:-10])
        until(lambda: asked.has_read(wire.port), SECONDS)
        time.sleep(0.1)  # to have it read by the framework, too
        tokens.write_text(f"write {NEW}\n")
        read_again(asked)
        with Wire(asked.port) as other:
            wait_for(other, ask(OLD), 401)
        time.sleep(0.1)  # it may have been the other worker
        assert wire.ask(sent[-10:]).status == 200
        assert wire.ask(sent).status == 401


def test_a_replacement_goes_by_the_tokens_of_the_last_sighup(asked: Forked, tokens: Path) -> None:
    """What was read again is the supervisor's, too, and stays whatever becomes of the file."""
    tokens.write_text(f"write {NEW}\n")
    read_again(asked)
    tokens.unlink()
    for worker in asked.workers():
        seconds_until_replaced(asked, worker, SECONDS)
    with Wire(asked.port) as wire:
        assert wire.ask(ask(OLD)).status == 401
        assert wire.ask(add(NEW)).status == 200


@pytest.mark.parametrize("content", [None, "nonsense\n", "", "read short\n"])
def test_a_token_file_that_is_wrong_at_sighup_changes_nothing(asked: Forked, tokens: Path, content: str | None) -> None:
    """One line says what is wrong with it, also if all processes got the signal; who was let in still is."""
    if content is None:
        tokens.unlink()
    else:
        tokens.write_text(content)
    lines = len(asked.log)
    asked.signal_all(signal.SIGHUP)
    asked.wait_for_log("stays in force")
    with Wire(asked.port) as wire:
        for _ in range(3):
            assert wire.ask(add(OLD)).status == 200
    assert len([line for line in asked.log[lines:] if "symbol" not in line]) == 1
    assert OLD not in asked.text
    assert "nonsense" not in asked.text
    asked.assert_no_defect()


def serial_number(port: int, authority: Path) -> str:
    """Of the certificate that a new connection is shown; the number of connections is enough to meet both workers."""
    with Wire(port, tls=ssl.create_default_context(cafile=str(authority))) as wire:
        assert isinstance(wire.socket, ssl.SSLSocket)
        assert wire.ask(HEALTH).status == 200
        return str((wire.socket.getpeercert() or {})["serialNumber"])


def test_sighup_renews_the_certificate(tmp_path: Path) -> None:
    """New connections are shown the new certificate, open ones go on, and no price is lost; a wrong one is refused."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    used, renewed = issue(tmp_path / "a"), issue(tmp_path / "b")
    context = ssl.create_default_context(cafile=str(used.ca))
    with running(*used.options, workers=2, max_k=2) as service, Wire(service.port, tls=context) as wire:
        assert wire.ask(post(BATCH)).status == 200
        before = serial_number(service.port, used.ca)
        used.cert.write_bytes(renewed.cert.read_bytes())
        read_again(service, "stays in force")  # the key is still the other's
        assert {serial_number(service.port, used.ca) for _ in range(8)} == {before}
        used.key.write_bytes(renewed.key.read_bytes())
        read_again(service)

        def all_renewed() -> bool:
            with suppress(ssl.SSLError):
                return before not in {serial_number(service.port, renewed.ca) for _ in range(16)}
            return False

        until(all_renewed, SECONDS)
        assert wire.ask(request("GET", "/stats?symbol=A&k=1")).document["last"] == 4
        with pytest.raises(ssl.SSLCertVerificationError):
            serial_number(service.port, used.ca)
        assert service.stop() == 0
        service.assert_no_defect()


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM], ids=lambda n: n.name
)
def test_signals_that_mean_nothing_do_nothing(shared_service: Forked, number: signal.Signals) -> None:
    """All processes get the signal, several times, and go on: no worker is replaced, and no price is lost."""
    with Wire(shared_service.port) as wire:
        assert wire.ask(post(BATCH)).status == 200
        workers = shared_service.workers()
        for _ in range(3):
            shared_service.signal_all(number)
            time.sleep(0.1)
            assert wire.ask(HEALTH).status == 200
        assert shared_service.workers() == workers
    assert shared_service.symbols.count("A") == 3
    shared_service.stop_cleanly()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_after_the_last_line_changes_no_exit_code(number: signal.Signals) -> None:
    """Between "stopped" and the end of the process nothing makes of an orderly stop a death by a signal."""
    service = Process("--port", "0", "--workers", "1", "--max-k", "2")
    os.kill(service.pid, signal.SIGTERM)
    while " stopped" not in service.text:
        time.sleep(0.0005)
    with suppress(ProcessLookupError):
        for _ in range(20):
            os.kill(service.pid, number)
            time.sleep(0.002)
    assert service.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_sigterm_sigint_and_sigquit_stop_in_order(shared_service: Forked, number: signal.Signals) -> None:
    """A request that is under way is answered when all processes get the signal, and the exit code is 0."""
    with Wire(shared_service.port) as wire:
        sent = post(BATCH)
        wire.send(sent[:-10])
        until(lambda: shared_service.has_read(wire.port), SECONDS)
        shared_service.signal_all(number)
        until(lambda: not shared_service.listens(), SECONDS)
        assert wire.ask(sent[-10:]).status == 200
    assert shared_service.ended(SECONDS) == 0
    assert " stopping\n" in shared_service.text
    shared_service.assert_no_defect("ERROR")


class Starting:
    """A service that has only begun to start, in a session of its own."""

    def __init__(self) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "service", "--port", "0", "--workers", "2", "--max-k", "2"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def has_begun(self) -> bool:
        """Whether its first line has run: before that the interpreter starts, and goes by the system's defaults."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        (ignored,) = re.findall(r"^SigIgn:\s(\w+)$", status, re.MULTILINE)
        return bool(int(ignored, 16) & 1 << signal.SIGALRM - 1)  # the last that it takes care of


@pytest.fixture
def start() -> Iterator[Callable[[], Starting]]:
    """Starts one; all are gone at the end."""
    services: list[Starting] = []

    def begin() -> Starting:
        services.append(Starting())
        until(services[-1].has_begun, SECONDS)
        return services[-1]

    yield begin
    for service in services:
        with suppress(ProcessLookupError):
            os.killpg(service.popen.pid, signal.SIGKILL)
        service.popen.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_stop_in_the_first_moments_is_orderly(start: Callable[[], Starting], number: signal.Signals) -> None:
    """Whenever it comes between the first line of the program and the first answer, the exit code is 0, and soon."""
    for moment in range(8):
        service = start()
        time.sleep(moment * 0.15)
        service.popen.send_signal(number)
        _, said = service.popen.communicate(timeout=SECONDS)
        assert (service.popen.returncode, living_members(service.popen.pid)) == (0, []), said
        assert not re.search("Traceback|ERROR|killing", said), said


def test_other_signals_in_the_first_moments_are_harmless(start: Callable[[], Starting]) -> None:
    """SIGHUP and the like, all the time from the first line of the program on, and it starts."""
    service = start()
    numbers = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM]
    assert service.popen.stderr is not None
    log = service.popen.stderr.fileno()
    said = ""
    over = time.monotonic() + 60
    while "listens on" not in said:
        assert time.monotonic() < over
        assert service.popen.poll() is None
        for number in numbers:
            os.killpg(service.popen.pid, number)
        if select.select([log], [], [], 0.02)[0]:
            said += os.read(log, 65536).decode()
    (url,) = re.findall(r"http://\S+", said)
    assert httpx.get(f"{url}/health/").status_code == 200
    assert "is replaced" not in said
