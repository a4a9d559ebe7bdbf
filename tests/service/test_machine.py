from __future__ import annotations

import io
import logging
import mmap
import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregation import SharedMemory, Symbols
from service.machine import CREDIT_BYTES, CREDIT_SECONDS, UNLIMITED, Grants, MemoryGuard, available_bytes
from service.processes.serve import preallocate, warn_if_too_much
from service.settings import Settings
from tests.aggregation.killing import begin_in_child
from tests.support.load import Client, connected_to_each, count_of, numbers
from tests.support.process import Forked, running

GIB = 1 << 30
MORE_THAN_ANY_MACHINE_HAS = 1_000_000_000
"""MiB: a petabyte."""


class Machine:
    """A made-up /proc and /sys."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def has(self, available: int, cgroup: str = "0::/\n") -> None:
        self.write(
            "proc/meminfo", f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {available // 1024} kB\n"
        )
        self.write("proc/self/cgroup", cgroup)

    def group(self, path: str, limit: str | int, used: int, droppable: int = 0) -> None:
        """A control group of version 2."""
        self.write(f"sys/fs/cgroup{path}/memory.max", f"{limit}\n")
        self.write(f"sys/fs/cgroup{path}/memory.current", f"{used}\n")
        self.write(f"sys/fs/cgroup{path}/memory.stat", f"anon 1\nfile 2\ninactive_file {droppable}\nactive_file 3\n")

    def old_group(self, path: str, limit: int, used: int, droppable: int = 0) -> None:
        """A control group of version 1."""
        base = f"sys/fs/cgroup/memory{path}"
        self.write(f"{base}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{base}/memory.usage_in_bytes", f"{used}\n")
        self.write(f"{base}/memory.stat", f"cache 1\ninactive_file 0\ntotal_inactive_file {droppable}\n")

    @property
    def available(self) -> int:
        return available_bytes(self.root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_without_limits(machine: Machine) -> None:
    """Without a control group's limit the machine's available memory counts."""
    machine.has(5 * GIB)
    assert machine.available == 5 * GIB
    machine.write("proc/meminfo", "MemTotal: 1 kB\n")
    assert machine.available == UNLIMITED


def test_a_group_with_a_limit(machine: Machine) -> None:
    """A group leaves its limit less what is used, file pages that can be dropped not counted."""
    machine.has(5 * GIB, "0::/tenfold.service\n")
    machine.group("/tenfold.service", 2 * GIB, GIB, droppable=GIB // 4)
    assert machine.available == GIB + GIB // 4
    machine.group("/tenfold.service", 64 * GIB, GIB)
    assert machine.available == 5 * GIB


def test_a_group_that_is_over_its_limit(machine: Machine) -> None:
    """A group that uses more than its limit, which was lowered, leaves less than nothing."""
    machine.has(5 * GIB, "0::/a\n")
    machine.group("/a", GIB, 2 * GIB)
    assert machine.available == -GIB


def test_nested_groups(machine: Machine) -> None:
    """The group that leaves least decides, wherever it stands above us; one without a limit does not."""
    machine.has(50 * GIB, "0::/slice/service/us\n")
    machine.group("/slice/service/us", "max", GIB)
    machine.group("/slice/service", 8 * GIB, GIB)
    machine.group("/slice", 9 * GIB, 3 * GIB)
    assert machine.available == 6 * GIB
    machine.group("/slice/service/us", 2 * GIB, GIB)
    assert machine.available == GIB
    machine.group("/slice/other", 1, 1)
    assert machine.available == GIB


def test_a_container_that_sees_its_own_group_as_the_root(machine: Machine) -> None:
    """In a container the limit stands at the root of what is shown, whatever path is named."""
    for path in ("/", "/docker/0123456789abcdef"):
        machine.has(5 * GIB, f"0::{path}\n")
        machine.group("", 2 * GIB, GIB)
        assert machine.available == GIB


def test_groups_of_version_1(machine: Machine) -> None:
    """The older interface is read too, with the numbers of the group and all below it; its no limit is no limit."""
    machine.has(5 * GIB, "12:cpu,cpuacct:/a/b\n7:memory:/a/b\n1:name=systemd:/x\n")
    machine.old_group("/a/b", 9223372036854771712, GIB)
    assert machine.available == 5 * GIB
    machine.old_group("/a", 3 * GIB, 2 * GIB, droppable=GIB // 2)
    assert machine.available == GIB + GIB // 2


def test_both_versions_at_once(machine: Machine) -> None:
    """On a machine that mounts both, whichever leaves less counts."""
    machine.has(5 * GIB, "7:cpuset,memory:/a\n0::/b\n")
    machine.old_group("/a", 3 * GIB, GIB)
    machine.group("/b", 3 * GIB, 2 * GIB)
    assert machine.available == GIB
    machine.group("/b", "max", 2 * GIB)
    assert machine.available == 2 * GIB


@pytest.mark.parametrize("missing", ["memory.max", "memory.current", "memory.stat"])
def test_a_group_whose_files_are_missing_or_strange(machine: Machine, missing: str) -> None:
    """What cannot be read limits nothing."""
    machine.has(5 * GIB, "0::/a\n")
    machine.group("/a", GIB, GIB)
    (machine.root / "sys/fs/cgroup/a" / missing).unlink()
    assert machine.available == 5 * GIB
    machine.group("/a", "nonsense", GIB)
    assert machine.available == 5 * GIB


def test_this_machine() -> None:
    """On the machine at hand something is available, and no more than it has."""
    total = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])  # type: ignore[index]
    assert 0 < available_bytes() <= total * 1024


class Sensor:
    """What a guard looks at: memory and time that the test sets."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.now = 1000.0
        self.looks = 0

    def available(self) -> int:
        self.looks += 1
        return self.left

    def guard(self, reserve: int) -> MemoryGuard:
        return MemoryGuard(reserve, Grants(1), 0, self.available, lambda: self.now)


def test_a_guard_leaves_the_reserve() -> None:
    """What is granted together with the reserve never exceeds what was left, to the byte."""
    sensor = Sensor(1000)
    guard = sensor.guard(400)
    assert not guard.may_grow(601)
    for step in (1, 99, 300, 200):
        assert guard.may_grow(step)
        sensor.left -= step
    assert sensor.left == 400
    assert not guard.may_grow(1)
    sensor.left = -5
    assert not guard.may_grow(1)
    sensor.left = 401
    assert guard.may_grow(1)


def test_a_guard_looks_only_every_so_often() -> None:
    """Between two looks it grants from its credit; the credit spent, or too old, it looks again."""
    sensor = Sensor(UNLIMITED)
    guard = sensor.guard(0)
    step = CREDIT_BYTES // 100
    for _ in range(100):
        assert guard.may_grow(step)
    assert sensor.looks == 1
    assert guard.may_grow(step)
    assert sensor.looks == 2
    sensor.now += CREDIT_SECONDS * 0.99
    assert guard.may_grow(step)
    assert sensor.looks == 2
    sensor.now += CREDIT_SECONDS * 0.02
    assert guard.may_grow(step)
    assert sensor.looks == 3


def test_a_guard_does_not_believe_an_old_look() -> None:
    """Memory that others took since is noticed when the credit has expired, and memory that they gave back at once."""
    sensor = Sensor(UNLIMITED)
    guard = sensor.guard(0)
    assert guard.may_grow(1)
    sensor.left = 0
    sensor.now += CREDIT_SECONDS
    assert not guard.may_grow(1)
    sensor.left = UNLIMITED
    assert guard.may_grow(1)


def test_a_guard_never_grants_more_than_its_credit_at_once() -> None:
    """A batch larger than the credit is judged by a fresh look, and refused if it is more than one look grants."""
    sensor = Sensor(UNLIMITED)
    guard = sensor.guard(0)
    assert guard.may_grow(CREDIT_BYTES)
    assert not guard.may_grow(CREDIT_BYTES + 1)
    assert sensor.looks == 2


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_all_workers_together_are_granted_no_more_than_is_left(workers: int) -> None:
    """However many look at the same memory at once, before anybody has taken any, their grants fit in it."""
    spare = CREDIT_BYTES
    sensor, grants = Sensor(spare + 400), Grants(workers)
    granted = 0
    for number in range(workers):
        guard = MemoryGuard(400, grants, number, sensor.available, lambda: sensor.now)
        looks = sensor.looks + 1
        while guard.may_grow(10_000) and sensor.looks == looks:
            granted += 10_000
    assert 0 < granted <= spare


def test_what_one_worker_was_granted_is_not_granted_to_another_meanwhile() -> None:
    """More than half of what is left, twice at the same moment, is granted once; again once the first grant is over."""
    sensor, grants = Sensor(1000), Grants(2)
    first, second = (MemoryGuard(0, grants, number, sensor.available, lambda: sensor.now) for number in range(2))
    assert first.may_grow(600)
    assert not second.may_grow(600)
    assert second.may_grow(400)
    sensor.now += 2 * CREDIT_SECONDS  # and nothing was taken
    assert second.may_grow(600)
    assert not first.may_grow(600)


@pytest.mark.parametrize("workers", [2, 64])
def test_grants_that_are_taken_at_any_pace_never_exceed_what_is_left(workers: int) -> None:
    """Whoever is granted memory, takes it and looks again when: it is never more than there is, and hardly less."""
    spare, batch = 40 * CREDIT_BYTES, 120_000
    sensor, grants = Sensor(spare), Grants(workers)
    guards = [MemoryGuard(0, grants, number, sensor.available, lambda: sensor.now) for number in range(workers)]
    generator = random.Random(workers)
    refused = 0
    while sensor.left >= batch and refused < 1000:
        if generator.choice(guards).may_grow(batch):
            sensor.left -= batch
            refused = 0
        else:
            refused += 1
        sensor.now += generator.choice([0.0, 0.0, 0.0001, CREDIT_SECONDS / 10])
    assert 0 <= sensor.left < batch * (workers + 1)


def test_a_guard_does_not_wait_for_another_process_that_looks() -> None:
    """Who needs a look while a stopped process has the lock of the grants is told so, and can try again."""
    sensor, grants = Sensor(UNLIMITED), Grants(2)

    def hold() -> None:
        grants.lock.acquire()
        os.kill(os.getpid(), signal.SIGSTOP)

    guard = MemoryGuard(0, grants, 0, sensor.available, lambda: sensor.now)
    holder = begin_in_child(hold)
    try:
        os.waitpid(holder, os.WUNTRACED)
        with pytest.raises(BlockingIOError):
            guard.may_grow(1)
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
    assert guard.may_grow(1)


@pytest.fixture
def scarcity(monkeypatch: pytest.MonkeyPatch) -> Iterator[mmap.mmap]:
    """A byte that all workers see: not 0 means that the machine has nothing left."""
    with mmap.mmap(-1, 1) as scarce:

        def guard(reserve: int, grants: Grants, worker: int) -> MemoryGuard:
            return MemoryGuard(reserve, grants, worker, lambda: 0 if scarce[0] else UNLIMITED)

        monkeypatch.setattr("service.processes.supervisor.MemoryGuard", guard)
        yield scarce


@pytest.fixture
def settings(scarcity: mmap.mmap) -> Settings:
    """Two workers whose rings hold some prices, on a machine whose memory the test can take away."""
    assert scarcity[0] == 0
    return Settings(workers=2, max_symbols=4, max_k=1, max_batch=10)


def test_when_memory_runs_out_it_is_507(shared_service: Forked, scarcity: mmap.mmap) -> None:
    """A batch that needs new memory gets 507 and changes nothing; reads, full rings and deletions go on."""
    with connected_to_each(shared_service) as clients:
        any_client, *_ = clients.values()
        full = 0
        while not full or shared_service.symbols.series("full").growth(10):
            any_client.add("full", numbers(0, full, full + 10))
            full += 10
        any_client.add("half", numbers(0, 0, 10))
        any_client.add("goes", numbers(0, 0, 10))
        scarcity[0] = 1
        time.sleep(2 * CREDIT_SECONDS)
        for client in clients.values():
            for name in ("half", "new"):
                status, problem = client.add(name, [1.0]).told
                assert status == 507
                assert (problem["title"], problem["status"]) == ("Insufficient Storage", 507)
                assert "memory" in problem["detail"]
            assert client.stats("new", 1).status == 404
            assert client.health().document["symbols"] == 3
            assert count_of(client.stats("half", 1), 1) == 10
            full += 10
            assert client.add("full", numbers(0, full - 10, full)).document["count"] == full
            assert count_of(client.stats("full", 1), 1) == full
        assert any_client.delete("goes").status == 204
        scarcity[0] = 0
        for client in clients.values():
            assert client.add("half", [1.0]).status == 200
            assert client.add("new", [1.0]).status == 200
        assert any_client.stats("goes", 1).status == 404


def test_a_reserve_that_the_machine_does_not_have_is_507() -> None:
    """With more in reserve than there is, tenfold warns of it at the start, serves, and takes no price."""
    with running("--memory-reserve", str(MORE_THAN_ANY_MACHINE_HAS), "--max-k", "2") as process:
        assert any(" WARNING " in line and "full retention takes" in line and "--max-k" in line for line in process.log)
        with Client(process.url) as client:
            for symbol in ("A", "B"):
                assert client.add(symbol, [1.0]).status == 507
                assert client.stats(symbol, 1).status == 404
            assert client.health().document["symbols"] == 0
        assert process.stop() == 0


def test_the_warning_names_what_is_needed_and_what_helps(caplog: pytest.LogCaptureFixture) -> None:
    """One line says what full retention takes, what there is, and which options take less, where it does not fit."""
    with caplog.at_level(logging.INFO, "tenfold"):
        warn_if_too_much(Settings(max_k=2))
        assert caplog.text == ""
        warn_if_too_much(Settings(memory_reserve=MORE_THAN_ANY_MACHINE_HAS))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    for part in ("2.06 GB", "available", "--max-k", "--max-symbols"):
        assert part in record.getMessage()


def mapped(pid: int, size: int) -> int:
    """Resident bytes of the one mapping of this size."""
    resident = []
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *values = line.split()
        if "-" in name and not name.endswith(":"):
            begin, end = (int(bound, 16) for bound in name.split("-"))
            inside = end - begin == size
        elif inside and name == "Rss:":
            resident.append(int(values[0]) * 1024)
    assert len(resident) == 1
    return resident[0]


def test_preallocation() -> None:
    """With --preallocate every page is there at the start, and no batch needs another one."""
    settings = Settings(max_symbols=3, max_k=5)
    size = settings.layout.total_bytes
    with running(max_symbols=3, max_k=5, workers=2) as process:
        assert mapped(process.pid, size) < size / 10
    with (
        running("--preallocate", max_symbols=3, max_k=5, workers=2) as process,
        connected_to_each(process) as clients,
    ):
        assert "touching memory" in process.text
        assert mapped(process.pid, size) == size
        for client in clients.values():
            for symbol in ("A", "B", "C"):
                assert client.add(symbol, numbers(0, 0, 10_000)).status == 200
        assert mapped(process.pid, size) == size


def test_preallocated_memory_is_not_refused() -> None:
    """A symbol in memory that was touched at the start grows while the machine has nothing left; its successor, too."""
    settings = Settings(max_symbols=1, max_k=3)
    memory = SharedMemory(settings.layout)
    preallocate(memory, 0)
    assert memory.series(0).resident
    assert memory.series(0).growth(10_000) == 0
    symbols = Symbols(memory, may_grow=lambda _growth: False)
    assert symbols.append("A", numbers(0, 0, 10_000)) == 10_000
    symbols.delete("A")
    assert symbols.append("B", [1.0]) == 1


def test_preallocation_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a progress bar runs up to 100 %."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    preallocate(SharedMemory(Settings(max_symbols=3, max_k=3).layout), 0)
    shown = terminal.getvalue()
    assert "touching memory" in shown
    assert "100%" in shown


def test_preallocation_leaves_the_reserve(caplog: pytest.LogCaptureFixture) -> None:
    """Memory is touched only as far as the reserve allows; the rest is then taken, or refused, as prices come."""
    settings = Settings(max_symbols=2, max_k=3)
    memory = SharedMemory(settings.layout)
    preallocate(memory, UNLIMITED)
    assert "stopped touching memory at 0.00" in caplog.text
    assert not memory.series(0).resident
    assert memory.series(0).growth(10) > 0
