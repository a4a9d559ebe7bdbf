"""What stands in service/deploy: nginx before three nodes, as the README says, and the unit for systemd."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from struct import pack
from typing import Final, NamedTuple
from urllib.parse import quote

import pytest

from tests.support.process import ROOT, Process, running, until
from tests.support.programs import NGINX, free_port, ran, serving
from tests.support.readme import README, blocks
from tests.support.sockets import Answer, Wire, ask_once, last, request

CONFIGURATION: Final = ROOT / "service/deploy/nginx.conf"
UNIT: Final = ROOT / "service/deploy/tenfold.service"

SYMBOLS: Final = (
    *("EUR/USD", "^GSPC", "ES 03-26", "BRK.B", "日経225", "A&B=C", "100%", "symbol=A", "?", "a+b", "~_-.", "%41"),
    *(f"S{number}" for number in range(48)),
)
"""Names that are hard to write, and so many that none of three nodes has none, but for once in 10^10 times."""


class Cluster(NamedTuple):
    """nginx and the nodes behind it, by their ports."""

    port: int
    nodes: list[int]

    def ask(self, method: str, target: str, *headers: str, body: bytes | None = None) -> Answer:
        """What a client is answered."""
        return ask_once(self.port, last(request(method, target, *headers, body=body)))

    def add(self, symbol: str, *prices: float) -> Answer:
        """Send a batch in binary."""
        body, octets = pack(f"<{len(prices)}d", *prices), "Content-Type: application/octet-stream"
        return self.ask("POST", f"/add_batch/?symbol={written(symbol)}", octets, body=body)

    def held(self, nodes: Sequence[int] | None = None) -> dict[str, list[tuple[int, int]]]:
        """By symbol, which nodes hold it, each with its count."""
        found = defaultdict(list)
        for node in nodes or self.nodes:
            for one in ask_once(node, last(request("GET", "/symbols/"))).document["symbols"]:
                found[one["symbol"]].append((node, one["count"]))
        return dict(found)


def written(symbol: str) -> str:
    """A symbol as it stands in a URL."""
    return quote(symbol, safe="")


def commands() -> list[str]:
    """The lines of the README that start nodes and put nginx before them."""
    (block,) = [block.text for block in blocks() if "service/deploy/nginx.conf" in block.text]
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def started(line: str) -> list[str]:
    """The options in a line that starts a node."""
    found = re.fullmatch(r'make serve ARGS="(.*)"', line)
    assert found is not None, line
    return shlex.split(found[1])


class Nodes(dict[int, Process]):
    """Nodes by their ports."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, *options: str) -> None:
        """Start one more, or one again."""
        process = self._stack.enter_context(running(*options, "--max-symbols", "100", max_k=2, workers=1))
        self[process.port] = process


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A node for each line of the README that starts one, but on a free port."""
    with ExitStack() as stack:
        nodes = Nodes(stack)
        for port, _, *others in map(started, commands()[:-1]):
            assert port == "--port"
            nodes.start(*others)
        yield nodes


@pytest.fixture(scope="module")
def proxied(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, port, text = tmp_path_factory.mktemp("nginx"), free_port(), CONFIGURATION.read_text()
    copied = shlex.split(commands()[-1].partition("&&")[0])
    assert copied[-2:] == [str(CONFIGURATION.relative_to(ROOT)), "/etc/nginx/conf.d/tenfold.conf"]
    assert re.findall(r"server 127\.0\.0\.1:(\d+) ", text) == [started(line)[1] for line in commands()[:-1]]
    for line, node in zip(commands()[:-1], nodes, strict=True):
        text = text.replace(f"127.0.0.1:{started(line)[1]} ", f"127.0.0.1:{node} ")
    (folder / "tenfold.conf").write_text(text.replace("listen 8000;", f"listen 127.0.0.1:{port};"))
    (folder / "nginx.conf").write_text(NGINX.format(http=f"include {folder / 'tenfold.conf'};"))
    with serving(port, folder, "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")):
        yield Cluster(port, list(nodes))


@pytest.fixture
def cluster(proxied: Cluster) -> Cluster:
    """All of it, without symbols."""
    for symbol, places in proxied.held().items():
        for node, _ in places:
            assert ask_once(node, last(request("DELETE", f"/symbols/{written(symbol)}"))).status == 204
    return proxied


def test_a_symbol_is_on_one_node_for_batches_statistics_and_deletion(cluster: Cluster) -> None:
    """Whatever its name: batches, binary and JSON, and questions all come to one node; deleted it is nowhere."""
    for symbol in SYMBOLS:
        assert cluster.add(symbol, 1.5, 2.5).told == (200, {"symbol": symbol, "added": 2, "count": 2})
    json = "Content-Type: application/json"
    for symbol in SYMBOLS:
        answer = cluster.ask("POST", f"/add_batch?at=2&symbol={written(symbol)}", json, body=b'{"values": [3.5]}')
        assert answer.told == (200, {"symbol": symbol, "added": 1, "count": 3})
    places = cluster.held()
    assert {symbol: [count for _, count in where] for symbol, where in places.items()} == {one: [3] for one in SYMBOLS}
    assert {node for ((node, _),) in places.values()} == {*cluster.nodes}
    for symbol in SYMBOLS:
        name = written(symbol)
        for target in (f"/stats/?symbol={name}&k=1", f"/stats?k=1&symbol={name}", f"/stats/all?symbol={name}"):
            assert cluster.ask("GET", target).document["last"] == 3.5
        assert cluster.ask("GET", f"/stats/?symbol={name}&k=1").document["max"] == 3.5
        assert cluster.ask("DELETE", f"/symbols/{name}").status == 204
        assert cluster.ask("GET", f"/stats/?symbol={name}&k=1").status == 404
    assert cluster.held() == {}


@pytest.mark.parametrize(
    "query",
    [
        *("", "?", "?k=1", "?symbol=", "?xsymbol=A", "?x=symbol=A", "?SYMBOL=A", "?SYMBOL=B&k=1", "?%73ymbol=A"),
        *("?symbol=EUR/USD", "?symbol=EUR%2fUSD", "?symbol=%41", "?symbol=a+b", "?symbol=a%2Db", "?symbol=%7E"),
        *("?symbol=%", "?symbol=%4", "?symbol=%ZZ", "?symbol=(A)", "?symbol=A&symbol=B", "?symbol=A&%73ymbol=B"),
    ],
)
def test_a_name_that_might_lead_to_two_nodes_is_refused_400(cluster: Cluster, query: str) -> None:
    """No symbol in the URL, another way to write it, or two of them: refused with a reason, and nothing is added."""
    octets = "Content-Type: application/octet-stream"
    answer = cluster.ask("POST", f"/add_batch{query}", octets, body=pack("<d", 1.5))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "symbol" in answer.document["detail"]
    assert cluster.held() == {}


def test_what_is_of_no_one_symbol_is_asked_of_each_node(cluster: Cluster) -> None:
    """Lists, metrics, pages and health are no one node's: refused, and said why."""
    for target in (
        "/symbols/",
        "/symbols",
        "/symbols/?symbol=A",
        "/metrics",
        "/",
        "/health/",
        "/docs",
        "/openapi.json",
    ):
        answer = cluster.ask("GET", target)
        assert (answer.status, answer.document["status"]) == (404, 404)
        assert answer.document["detail"] == "This is asked of each node."


def test_refusals_of_a_node_come_through(cluster: Cluster) -> None:
    """What is wrong with a batch the node says, in its own words, whatever the size."""
    assert cluster.add("A").document["detail"] == "values must hold 1 to 10000 prices, not 0."
    large = cluster.ask("POST", "/add_batch/?symbol=A", body=b" " * 2_000_000)
    assert (large.status, large.document["status"]) == (413, 413)
    assert cluster.ask("GET", "/add_batch?symbol=A").headers["allow"] == "POST"


def test_a_node_that_is_down_takes_its_symbols_with_it_and_brings_them_back(cluster: Cluster, nodes: Nodes) -> None:
    """Its symbols get 503 meanwhile, and no other node takes them; all others go on; it is back, empty, for its own."""
    for symbol in SYMBOLS:
        assert cluster.add(symbol, 1.0).status == 200
    before = {symbol: node for symbol, ((node, _),) in cluster.held().items()}
    down, *up = cluster.nodes
    nodes[down].end()
    for turn in range(3):
        for symbol, node in before.items():
            answer = cluster.add(symbol, 2.0)
            if node == down:
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.document["detail"] == "The node of this symbol does not answer."
            else:
                assert answer.told == (200, {"symbol": symbol, "added": 1, "count": 2 + turn})
    assert cluster.held(up) == {symbol: [(node, 4)] for symbol, node in before.items() if node != down}
    nodes.start("--port", str(down))
    for symbol, node in before.items():
        assert cluster.add(symbol, 3.0).document["count"] == (1 if node == down else 5)
    assert {symbol: node for symbol, ((node, _),) in cluster.held().items()} == before


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    """systemd-analyze finds nothing to say about it, with the clone where it is here."""
    unit = tmp_path / "tenfold.service"
    unit.write_text(UNIT.read_text().replace("/opt/tenfold", str(ROOT)))
    assert ran("systemd-analyze", "verify", "--man=no", str(unit)) == ""


def setting(name: str) -> str:
    """A line of the unit."""
    (found,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
    return str(found)


def test_the_commands_of_the_unit_start_reload_and_stop_it(tmp_path: Path) -> None:
    """Started, told to read its files again, and stopped as the unit says, within its time, with exit code 0."""
    command = shlex.split(setting("ExecStart").replace("/opt/tenfold", str(ROOT)))
    assert command[1:] == ["-m", "service"]
    name, _, directory = setting("Environment").partition("=")
    assert directory == f"/var/cache/{setting('CacheDirectory')}"
    with running("--workers", "1", env={name: str(tmp_path)}) as service, Wire(service.port) as wire:
        assert any(tmp_path.iterdir()), "the kernels are kept there"
        reload = setting("ExecReload").replace("$MAINPID", str(service.pid))
        subprocess.run(shlex.split(reload), check=True, timeout=10)
        until(lambda: wire.ask(request("GET", "/health")).status == 200, 5)
        began = time.monotonic()
        assert service.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < float(setting("TimeoutStopSec"))
    assert setting("RestartPreventExitStatus") == "2"


def test_the_readme_says_what_the_test_does() -> None:
    """It names both files, and where the symbol must stand."""
    for named in ("service/deploy/nginx.conf", "service/deploy/tenfold.service", "`?symbol=`"):
        assert named in README
