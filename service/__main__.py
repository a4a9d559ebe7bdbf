"""``python -m service``: from the command line to listening processes."""

from __future__ import annotations

from .processes.signals import until_supervised

until_supervised(lambda: None)  # a signal may come while all this is imported

import os

# None of the arithmetic is numpy's; without this every worker would start threads for it. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import logging
import sys

import click

from . import VERSION
from .commands import NAMES, run
from .logs import OWN, configure, fields, finish
from .settings import Settings, options


@click.command(context_settings={**NAMES, "auto_envvar_prefix": "TENFOLD", "show_default": True})
@click.version_option(VERSION, message="tenfold %(version)s")
@options
def main(**values: object) -> int:
    """Serve exact statistics over the last 10, 100, … 10^K prices of each symbol.

    Every option can also be given in the environment: TENFOLD_PORT=9000 for --port 9000.
    """
    settings = Settings(**values)  # type: ignore[arg-type]  # click has made each of them what its field is
    configure(settings.log_format)
    until_supervised(say_goodbye)
    try:
        from service.processes.serve import serve  # noqa: PLC0415 - compiles the kernels, which is told to the log

        return serve(settings)
    except click.ClickException:
        raise
    except Exception:
        logging.getLogger(OWN).exception("failed")
        return 1
    finally:
        finish()


def say_goodbye() -> None:
    """The last words of a service that was stopped before it served."""
    logging.getLogger(OWN).info("stopped", extra=fields(exit_code=0))
    finish()


if __name__ == "__main__":
    sys.exit(run(main, "tenfold"))
