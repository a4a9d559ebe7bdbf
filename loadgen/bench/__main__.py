"""tenfold beside the floor and beside the ordinary ways: ``python -m loadgen.bench``, or ``make bench``.

All answers are compared before anything is timed; where they disagree, the run ends with exit code 1 and says who is
wrong. Ratios do not change the exit code, since they depend on the machine.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from loadgen.bench.beside import in_process as steps
from loadgen.bench.beside import over_http
from loadgen.bench.beside.drive import RefusedError
from loadgen.bench.beside.effort import FULL, QUICK, Effort
from loadgen.bench.beside.machine import describe
from loadgen.bench.beside.picture import draw
from loadgen.bench.beside.ratios import ratios
from loadgen.bench.beside.tables import Report, print_report, write_json
from loadgen.bench.beside.truth import DisagreementError
from loadgen.launch import choose_cores, on_core


def measure(effort: Effort, console: Console) -> Report:
    """Everything, with a line on the console for each part.

    Raises:
        DisagreementError: an answer is wrong.
        RefusedError: a request was refused.
    """
    begin = time.perf_counter()
    cores = choose_cores()
    machine = describe(cores)

    def say(what: str) -> None:
        console.print(f"[dim]{time.perf_counter() - begin:5.0f} s  {what}[/]", highlight=False)

    with on_core(cores.client):
        http = over_http.measure(cores, effort, say)
        in_process = steps.measure(cores, effort, say)
    seconds = time.perf_counter() - begin
    return Report(machine, effort, seconds, http, in_process, ratios(http, in_process, effort))


@click.command()
@click.option("--quick", is_flag=True, help="Hold 10^6 prices instead of 10^8: under a minute, to see that it works.")
@click.option(
    "--json", "document", type=Path, default=".bench/bench.json", show_default=True, help="Where every sample goes."
)
@click.option(
    "--plot", "plot", type=Path, default=".bench/bench.png", show_default=True, help="Where the picture goes."
)
def main(quick: bool, document: Path, plot: Path) -> None:
    """Compare tenfold with bare Sanic, and with the ordinary ways to do its job; a table, JSON and a picture."""
    progress = Console(stderr=True)
    try:
        report = measure(QUICK if quick else FULL, progress)
    except (DisagreementError, RefusedError) as error:
        raise click.ClickException(str(error)) from error
    terminal = Console()
    print_report(report, terminal)
    write_json(report, document)
    terminal.print(f"every sample: {document}", highlight=False)
    if report.effort.judged:
        draw(report, plot)
        terminal.print(f"picture: {plot}", highlight=False)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that every server is stopped on the way
    main()
