"""The segment tree behind FastAPI and uvicorn, with tenfold's API. It is a command of its own.

One worker with uvloop and httptools, no access log, asynchronous handlers, validation by pydantic: what FastAPI's own
documentation leads to. ``--held`` fills the symbol S before the first request, which nobody times.
"""

from __future__ import annotations

import socket
from typing import Annotated

import click
import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, Field

from loadgen.bench.beside.feed import feed, ragged

from .rival import Window
from .tree import SegmentTree

SYMBOL = "S"

Price = Annotated[float, Field(allow_inf_nan=False)]


class Batch(BaseModel):
    """What is posted."""

    symbol: str
    values: list[Price] = Field(min_length=1, max_length=10_000)


def create_app(held: int) -> FastAPI:
    """The application, with ``held`` prices in its symbol, and room for no more."""
    app = FastAPI()
    trees = {SYMBOL: SegmentTree(held)}
    trees[SYMBOL].load(feed(ragged(held)))
    counts = {SYMBOL: ragged(held)}

    def find(symbol: str) -> SegmentTree:
        if symbol not in trees:
            raise HTTPException(404)
        return trees[symbol]

    @app.post("/add_batch/")
    async def add_batch(batch: Batch) -> dict[str, str | int]:
        if batch.symbol not in trees:
            trees[batch.symbol], counts[batch.symbol] = SegmentTree(held), 0
        trees[batch.symbol].append(np.array(batch.values))
        counts[batch.symbol] += len(batch.values)
        return {"symbol": batch.symbol, "added": len(batch.values), "count": counts[batch.symbol]}

    @app.get("/stats/")
    async def stats(symbol: str, k: Annotated[int, Query(ge=1, le=8)]) -> dict[str, float]:
        return _answer(find(symbol).statistics(min(10**k, held, counts[symbol])))

    @app.get("/stats/all/")
    async def all_windows(symbol: str) -> dict[str, str | int | dict[str, dict[str, float]]]:
        windows = {str(k): _answer(window) for k, window in enumerate(find(symbol).windows(), 1)}
        return {"symbol": symbol, "count": counts[symbol], "windows": windows}

    return app


def _answer(window: Window) -> dict[str, float]:
    _, low, high, last, avg, var = window
    return {"min": low, "max": high, "last": last, "avg": avg, "var": var}


@click.command()
@click.option("--held", default=1_000_000, show_default=True, help="Prices held, and room for no more.")
def main(held: int) -> None:
    """Serve on a free port, and say which."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    app = create_app(held)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
