"""``python -m service``: from the command line to listening processes."""

from __future__ import annotations

import os

# None of the arithmetic is numpy's; without this every worker would start threads for it. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys

import click

from .logs import configure
from .settings import Settings, options


@click.command(context_settings={"auto_envvar_prefix": "TENFOLD", "show_default": True, "max_content_width": 100})
@options
def main(**values: object) -> int:
    """Serve exact statistics over the last 10, 100, … 10^K prices of each symbol.

    Every option can also be given in the environment: TENFOLD_PORT=9000 for --port 9000.
    """
    from service.processes.serve import serve  # noqa: PLC0415 - loads the compiled kernels, which --help does not need

    settings = Settings(**values)  # type: ignore[arg-type]
    configure(settings.log_format)
    return serve(settings)


def run() -> int:
    """Run the command and return its exit code; a mistake in it is one line on stderr and 2."""
    try:
        return int(main.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        sys.stderr.write(f"tenfold: {error.format_message()}\n")
        return 2
    except click.Abort:
        return 130


if __name__ == "__main__":
    sys.exit(run())
