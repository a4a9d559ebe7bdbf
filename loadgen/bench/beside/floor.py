"""The floor: what Sanic itself costs, doing nothing. ``python -m loadgen.bench.beside.floor``.

Set up as tenfold's workers are (one process, no access log, uvloop), with a read-ahead that suits it best, and answers
of the same length and type. Its routes:

* ``GET /stats``      reads the two arguments of the query, then answers
* ``POST /sink``      has the whole body read, then answers
* ``POST /parse``     has it parsed, too, by simdjson to an array of float64, and checks nothing
"""

from __future__ import annotations

import socket
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
import simdjson
from sanic import HTTPResponse, Request, Sanic

READ_AHEAD_BYTES: Final = 512 * 1024
"""The strongest floor: Sanic's default would pause the reading of large bodies, and with half of this it is slower."""

BACKLOG: Final = 2048
"""Sanic's default of 100 would keep most of a thousand connections waiting for a second."""

JSON: Final = "application/json"


def create_app(answer: bytes, receipt: bytes) -> Sanic[Any, Any]:
    """The application; ``answer`` is what GETs get, ``receipt`` what POSTs do."""
    app: Sanic[Any, Any] = Sanic("floor", configure_logging=False)
    app.config.ACCESS_LOG = False
    app.config.REQUEST_BUFFER_SIZE = READ_AHEAD_BYTES
    parser = simdjson.Parser()

    async def stats(request: Request) -> HTTPResponse:
        arguments = request.args
        if not arguments.get("symbol") or not arguments.get("k"):
            return HTTPResponse(status=400)
        return HTTPResponse(answer, content_type=JSON)

    async def sink(request: Request) -> HTTPResponse:
        return HTTPResponse(receipt if request.body else b"", content_type=JSON)

    async def parse(request: Request) -> HTTPResponse:
        prices = _parse(parser, request.body)
        return HTTPResponse(receipt if len(prices) else b"", content_type=JSON)

    app.add_route(stats, "/stats", methods=["GET", "HEAD"], name="stats")
    app.add_route(sink, "/sink", methods=["POST"], name="sink")
    app.add_route(parse, "/parse", methods=["POST"], name="parse")
    return app


def _parse(parser: simdjson.Parser, body: bytes) -> npt.NDArray[np.float64]:
    """The prices of a batch. The document dies with this frame, as it must before the parser is used again."""
    document: Any = parser.parse(body)
    return np.frombuffer(document["values"].as_buffer(of_type="d"))


@click.command()
@click.option("--answer", default="{}", help="Body of the answer to GET.")
@click.option("--receipt", default="{}", help="Body of the answer to POST.")
def main(answer: str, receipt: str) -> None:
    """Serve on a free port, and say which."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    create_app(answer.encode(), receipt.encode()).run(
        sock=listener, backlog=BACKLOG, single_process=True, access_log=False, motd=False
    )


if __name__ == "__main__":
    main()
