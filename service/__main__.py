"""``python -m service``: from the command line to a listening process."""

from __future__ import annotations

import logging
import socket
import sys

import click

from aggregation import Symbols

from .app import AnySanic, create_app
from .settings import Settings, options

log = logging.getLogger("tenfold")

BACKLOG = 1024
"""Connections that may wait to be accepted: a burst of clients after a restart must not be turned away."""


@click.command(context_settings={"auto_envvar_prefix": "TENFOLD", "show_default": True, "max_content_width": 100})
@options
def main(**values: object) -> None:
    """Serve exact statistics over the last 10, 100, … 10^K prices of each symbol.

    Every option can also be given in the environment: TENFOLD_PORT=9000 for --port 9000.
    """
    serve(Settings(**values))  # type: ignore[arg-type]


def serve(settings: Settings) -> None:
    """Listen and serve until SIGINT or SIGTERM.

    Raises:
        click.ClickException: the address cannot be listened on.
    """
    listener = listen(settings.host, settings.port)
    symbols = Symbols(settings.geometry, settings.max_symbols)
    app = create_app(settings, symbols)

    @app.after_server_start
    async def announce(_app: AnySanic) -> None:
        log.info("%s", welcome(settings, symbols, listener))

    app.run(sock=listener, single_process=True, access_log=False, motd=False)


def listen(host: str, port: int) -> socket.socket:
    """Bind the address, before anything dear is done.

    Raises:
        click.ClickException: in one line, with exit code 2, why it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def welcome(settings: Settings, symbols: Symbols, listener: socket.socket) -> str:
    """Where it listens, and what full retention takes."""
    host, port = listener.getsockname()[:2]
    if ":" in host:
        host = f"[{host}]"
    return (
        f"tenfold listens on http://{host}:{port} with room for {settings.max_symbols} symbols of "
        f"{symbols.geometry.retention:,} prices: {symbols.full_bytes / 1e9:.2f} GB at full retention"
    )


def run() -> int:
    """Run the command; a mistake in it is one line on stderr and exit code 2."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("sanic").setLevel(logging.WARNING)
    try:
        main.main(standalone_mode=False)
    except click.ClickException as error:
        sys.stderr.write(f"tenfold: {error.format_message()}\n")
        return 2
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run())
