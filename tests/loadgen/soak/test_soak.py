"""Short soaks, of the service and of a server that loses what it acknowledges; and what the soak's own parts do."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from random import Random

import pytest

from loadgen.launch import launched
from loadgen.plan import Target
from loadgen.soak.crowd import KINDS, Abuse, Crowd
from loadgen.soak.soak import Result, soak, summary
from tests.support.commands import loadgen

SECONDS = 9.0


def test_a_soaked_service_is_found_well() -> None:
    """Workers are killed and clients misbehave; no answer is wrong, nothing is lost, and all that was taken is back."""
    done = loadgen("soak", "--minutes", str(SECONDS / 60), "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {line[:26].strip(): line[26:] for line in done.stdout.splitlines() if line[26:]}
    assert found["violations"] == "0"
    assert found["in the end"].startswith("70 ")
    assert not found["workers"].startswith("0 ")
    assert " 0 wrong" in found["answers"]


@pytest.fixture(scope="module")
def forgetful() -> Result:
    """A server that acknowledges every third batch and forgets it."""
    return soak(4.0, 1, module="tests.loadgen.servers", arguments=("drops",))


def test_a_server_that_loses_prices_fails_the_soak(forgetful: Result) -> None:
    """What was acknowledged and is not there is found while the load goes on, and in the end again."""
    assert forgetful.outcome.wrong > 0
    assert any("wrong answers" in violation for violation in forgetful.violations)
    assert any("in the end" in violation for violation in forgetful.violations), forgetful.violations
    assert any("read back" in violation for violation in forgetful.violations), forgetful.violations
    assert "violations" in summary(forgetful)


def test_a_server_that_cannot_be_stopped_in_peace_fails_the_soak(forgetful: Result) -> None:
    """A server that knows no SIGTERM, and writes tracebacks about what it is sent, is told so."""
    assert forgetful.exit_code != 0
    assert any("exit code" in violation for violation in forgetful.violations)
    assert any("in the log" in violation for violation in forgetful.violations)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.mark.parametrize("abuse", KINDS, ids=lambda abuse: abuse.name)
def test_every_kind_of_abuse_says_what_its_name_says(listener: socket.socket, abuse: Abuse) -> None:
    """Each kind connects; all but the silent one send, and none sends a batch that a service could take."""
    with Crowd(Target(*listener.getsockname()[:2]), Random(1)) as crowd:
        crowd.join(abuse, 1)
        connection, _ = listener.accept()
        with connection:
            crowd.play(time.monotonic() + 0.05)
            connection.settimeout(0.05)
            try:
                received = connection.recv(1 << 16)
            except TimeoutError:
                received = b""
        assert bool(received) == (abuse.name != "connected and silent")
        assert crowd.opened[abuse.name] >= 1


def test_what_has_closed_is_opened_again(listener: socket.socket) -> None:
    """A crowd stays as large as it was, however often the service closes its connections, and counts them."""
    abuse = Abuse("idle", KINDS[0].script, pace=0.01)
    with Crowd(Target(*listener.getsockname()[:2]), Random(1)) as crowd:
        crowd.join(abuse, 3)
        for _ in range(3):
            listener.accept()[0].close()
        crowd.play(time.monotonic() + 0.1)
        assert (len(crowd), crowd.opened["idle"], crowd.ended) == (3, 6, 3)


def test_a_launched_service_leaves_nothing_behind() -> None:
    """Its workers can be looked at while it runs, and are gone afterwards, though it was never stopped."""
    with launched("service", ("--port", "0", "--workers", "2", "--max-k", "1")) as service:
        workers = service.workers()
        footprints = service.footprints()
    assert len(workers) == len(footprints) == 2
    assert all(footprint.sockets > 0 and footprint.own_bytes > 0 for footprint in footprints)
    assert service.footprints() == []
