"""``python -m loadgen``: the command line."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from loadgen.commands.audit import audit
from loadgen.commands.check import Checker
from loadgen.commands.replay import replay_plan
from loadgen.commands.reproduce import reproduce
from loadgen.load.outcome import Exit, Outcome, Slo, read_slo
from loadgen.load.run import ServiceError, UsageError, execute, unreachable
from loadgen.report import tables as report
from loadgen.report.live import View
from loadgen.report.plot import write_plot
from loadgen.soak.soak import soak, summary
from loadgen.wire.client import ProtocolError, trusting
from service import VERSION
from service.commands import NAMES, Number
from service.commands import run as run_command

from .plan import MAX, Plan, Sizes, Target, read_rate, read_sizes, read_target, read_token

GIBIBYTE: Final = 1 << 30
SYMBOLS: Final = 10


class Read(click.ParamType[Any]):
    """An option that one of our readers understands; its ValueError is the message."""

    def __init__(self, name: str, reader: Callable[[str], object]) -> None:
        self.name = name
        self._reader = reader

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Read the text; a default is already what it should be."""
        if not isinstance(value, str):
            return value
        try:
            return self._reader(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


TARGET: Final = Read("url", read_target)
RATE: Final = Read("rate", read_rate)
SIZES: Final = Read("sizes", read_sizes)
SLO: Final = Read("objective", read_slo)

TOKEN: Final = Read("token", read_token)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """What all commands share: where the service is and how to be let in. They get it as one ``target``."""

    @click.option(
        "--url",
        "target",
        type=TARGET,
        default="http://127.0.0.1:8000",
        show_default=True,
        help="Where tenfold listens; http:// or https://.",
    )
    @click.option(
        "--ca", help="With https://: trust the authorities in this PEM file. Default: those that the system trusts."
    )
    @click.option(
        "--token",
        type=TOKEN,
        envvar="TENFOLD_TOKEN",
        show_envvar=True,
        help="Sent with every request. Others on this machine see it in the list of processes, but not in the "
        "environment.",
    )
    @wraps(command)
    def with_target(target: Target, ca: str | None, token: str | None, **options: object) -> None:
        if ca is not None and not target.tls:
            raise click.UsageError("--ca is of no use without https://")
        try:
            if target.tls:
                trusting(ca)
        except OSError as error:
            reason = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise click.UsageError(f"cannot use the authorities in {ca}: {reason}") from error
        command(target=replace(target, ca=ca, token=token), **options)

    return with_target


batch_size_option = click.option(
    "--batch-size", "sizes", type=SIZES, default="10000", show_default=True, help="Prices in a batch: 10000 or 1-10000."
)
wire_option = click.option(
    "--wire",
    type=click.Choice(["json", "binary"]),
    default="json",
    show_default=True,
    help="How a batch is written: as JSON, or as float64 in binary.",
)
prices_option = click.option(
    "--prices",
    default="walk",
    show_default=True,
    help="walk: two decimals, small steps. jump: full precision, levels from 0.001 to 10^9. constant. "
    "file:PATH: a column of a CSV or Parquet file, over and over.",
)
seed_option = click.option(
    "--seed",
    type=Number(0),
    default=1,
    show_default=True,
    help="All bodies derive from it: one seed, one sequence.",
)


def result_options(command: Callable[..., None]) -> Callable[..., None]:
    """What run and replay share: pace, objectives, and where to write what was found."""
    for option in (
        click.option(
            "--plot", type=click.Path(dir_okay=False, writable=True), help="Draw latencies and rates, as PNG."
        ),
        click.option("--csv", "csv_path", type=click.Path(dir_okay=False, writable=True), help="Write every second."),
        click.option(
            "--report", "json_path", type=click.Path(dir_okay=False, writable=True), help="Write all figures, as JSON."
        ),
        click.option(
            "--slo",
            "slos",
            type=SLO,
            multiple=True,
            help="An objective, such as 'stats.p99<5ms', 'stats.service.p50<1ms' or 'add_batch.rate>=500/s'. "
            "May be given more than once.",
        ),
        click.option(
            "--append", is_flag=True, help="Accept symbols that hold prices; windows with those go unchecked."
        ),
        click.option("--verify/--no-verify", default=True, show_default=True, help="Compare every answer."),
        click.option(
            "--abort-if-rate-missed", "strict", is_flag=True, help="End where a --rate or --poll-rate is not reached."
        ),
        click.option("--keep", is_flag=True, help="Leave the symbols that it has made, instead of removing them."),
        click.option(
            "--poll-rate",
            type=RATE,
            help="Polls for each symbol, like --rate. Default: as --rate, or max if that is 0.",
        ),
        click.option(
            "--rate",
            type=RATE,
            default="max",
            show_default=True,
            help="Batches for each symbol. max: the next when the last is answered. 200/s: by the clock, and latency "
            "counts from the intended moment. 0: none.",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={**NAMES, "max_content_width": 100})
@click.version_option(VERSION, message="tenfold %(version)s")
def main() -> None:
    """Put tenfold under load, and check every answer.

    \b
    Exit codes:
      0  all well
      1  an objective (--slo) was missed, or a rate with --abort-if-rate-missed
      2  the command cannot be carried out as given
      3  an answer was wrong; how to see it again is printed
      4  requests failed, or the service has gone
      5  the generator was saturated: the figures are its own, not the service's
    """


prefix_option = click.option(
    "--prefix", default="LOAD-", show_default=True, help="What their names begin with; a number follows."
)


@main.command(short_help="Producers and dashboards at work, every answer checked.")
@target_options
@click.option("--symbols", type=Number(1), help="Symbols, a producer each. Default: 10, or what there is room for.")
@prefix_option
@click.option("--duration", type=Number(0.1, whole=False), default=10.0, show_default=True, help="Seconds to measure.")
@click.option("--batches", type=Number(1), help="End after so many batches for each symbol, if that is earlier.")
@batch_size_option
@wire_option
@prices_option
@seed_option
@click.option("--warmup", type=Number(0, whole=False), default=0.0, show_default=True, help="Seconds before measuring.")
@click.option("--processes", type=Number(1), default=1, show_default=True, help="Senders, a clerk each.")
@click.option("--connections", type=Number(1), help="In all. Default: one to each request in flight.")
@click.option("--overlap", is_flag=True, help="Break the promise: requests of one symbol do not wait for one another.")
@click.option(
    "--exactly-once",
    is_flag=True,
    help="Batches say where they begin, and are sent again after a lost answer or a 5xx until they are in.",
)
@click.option(
    "--timeout", type=Number(0.1, whole=False), default=10.0, show_default=True, help="Seconds for an answer."
)
@click.option(
    "--oracle-memory",
    type=Number(0.001, whole=False),
    default=2.0,
    show_default=True,
    help="GiB of prices kept for checking. Windows that reach back further are counted as unchecked.",
)
@result_options
def run(
    symbols: int | None,
    prefix: str,
    duration: float,
    oracle_memory: float,
    **options: Any,
) -> None:
    """Producers post batches and dashboards poll k = 1 … 8, in turn, and every answer is checked.

    Requests of one symbol wait for one another, as callers promise, unless --overlap.

    \b
    Examples:
      python -m loadgen run --duration 30 --report run.json --plot run.png
      python -m loadgen run --rate 20/s --poll-rate 200/s --slo 'stats.p99<5ms'
      python -m loadgen run --symbols 1 --batch-size 1-10000 --prices jump --overlap
    """
    output = {name: options.pop(name) for name in ("slos", "json_path", "csv_path", "plot")}
    names = names_of(prefix, symbols)
    oracle_bytes = int(oracle_memory * GIBIBYTE)
    plan = Plan(
        symbols=names, fewer=symbols is None, seconds=duration, oracle_bytes=oracle_bytes, **with_polls(options)
    )
    sys.exit(show(plan, **output))


def names_of(prefix: str, symbols: int | None) -> tuple[str, ...]:
    """The symbols of a run."""
    return tuple(f"{prefix}{number}" for number in range(symbols or SYMBOLS))


def with_polls(options: dict[str, Any]) -> dict[str, Any]:
    """Polls go as batches do, where nothing else is said and there are any."""
    if options["poll_rate"] is None:
        options["poll_rate"] = options["rate"] if options["rate"].per_second else MAX
    return options


@main.command(short_help="Stream a file of real prices, once.")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@target_options
@click.option("--symbol", help="The symbol to add the prices to. Default: the name of the file.")
@click.option("--column", help="The column with the prices. Default: price, or the only one.")
@click.option("--batch-size", "size", type=Number(1), default=100, show_default=True, help="Prices a batch.")
@wire_option
@result_options
def replay(path: str, **options: Any) -> None:
    """Stream a column of real prices from a CSV or Parquet FILE, once, at a chosen speed.

    \b
    Example:
      python -m loadgen replay ticks.csv --symbol EURUSD --batch-size 10 --rate 20/s
    """
    output = {name: options.pop(name) for name in ("slos", "json_path", "csv_path", "plot")}
    try:
        plan = replay_plan(path, **with_polls(options))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not plan.produces:
        raise click.UsageError("--rate 0 would never send the file")
    sys.exit(show(plan, **output))


@main.command(short_help="A quick pass: contract, errors, exactness.")
@target_options
@click.option("--symbol", help="The symbol to use, which must hold no prices. Default: a name that nobody has.")
def check(target: Target, symbol: str | None) -> None:
    """A quick pass over a running service: contract, errors, exactness. Takes one symbol, and removes it.

    Exit code 0 if all is as it should be, 2 if there is no room for a symbol, 3 if not, 4 if it does not answer.
    """
    console = Console(highlight=False)
    with explaining(target):
        findings = list(Checker(target, symbol).run())
    bad = [finding for finding in findings if finding.instead is not None]
    for finding in bad:
        console.print(f"expected  {finding.expected}\n   found  {finding.instead}", soft_wrap=True, markup=False)
    console.print(f"{len(findings) - len(bad)} of {len(findings)} checks passed")
    unreachable = any(finding.expected.startswith("the service answers") for finding in bad)
    sys.exit(Exit.FAILED if unreachable else Exit.WRONG if bad else Exit.WELL)


@main.command(name="reproduce", short_help="See a wrong answer again.")
@target_options
@batch_size_option
@wire_option
@prices_option
@seed_option
@click.option("--place", type=Number(0), required=True, help="The symbol's number in the run.")
@click.option("--batches", type=Number(1), required=True, help="How many of its batches to send.")
@click.option("--k", type=Number(1, 8), required=True, help="The window to ask for then.")
@click.option("--symbol", default="AGAIN", show_default=True, help="The name to use; it must hold no prices yet.")
def reproduce_command(
    target: Target, sizes: Sizes, wire: str, prices: str, seed: int, place: int, batches: int, k: int, symbol: str
) -> None:
    """Send one symbol's first batches to a fresh service again, and ask one question. Exit code 3 if it is wrong."""
    plan = Plan(target=target, symbols=(symbol,), sizes=sizes, wire=wire, prices=prices, seed=seed)
    with explaining(target):
        repeated = reproduce(plan, place, batches, k)
    mistake = repeated.mistake
    click.echo(f"answer    {repeated.answer}")
    if mistake is None:
        click.echo("right" if repeated.refused is None else f"a batch was refused: {repeated.refused}")
        sys.exit(Exit.WELL if repeated.refused is None else Exit.FAILED)
    click.echo(f"WRONG     {mistake.request} with {mistake.count:,} prices ({', '.join(mistake.wrong)})")
    click.echo(f"expected  {mistake.expected}\ngot       {mistake.got}")
    sys.exit(Exit.WRONG)


@main.command(name="audit", short_help="Read back what a run has left, and compare it bit by bit.")
@target_options
@click.option("--symbols", type=Number(1), help="As for run. Default: those that are there, of 10.")
@prefix_option
@batch_size_option
@prices_option
@seed_option
def audit_command(symbols: int | None, prefix: str, **options: Any) -> None:
    """Read back all prices that a service retains of a run's symbols, and compare each with what was sent, to the bit.

    The options must be the run's. Exit code 0 if every batch is in, once and in order, and nothing else; 3 if not.

    \b
    Example:
      python -m loadgen run --exactly-once --keep --seed 7
      python -m loadgen audit --seed 7
    """
    plan = Plan(symbols=names_of(prefix, symbols), fewer=symbols is None, **options)
    with explaining(plan.target):
        audited = list(audit(plan))
    for one in audited:
        click.echo(f"{one.symbol}: {one.batches:,} batches, {one.prices:,} prices read back: {one.wrong or 'all well'}")
    sys.exit(Exit.WRONG if any(one.wrong for one in audited) else Exit.WELL)


@main.command(name="soak", short_help="Load, kills and abusive clients together, for as long as you like.")
@click.option("--minutes", type=Number(0.05, whole=False), default=10.0, show_default=True, help="How long.")
@seed_option
def soak_command(minutes: float, seed: int) -> None:
    """Start a service and load it while workers are killed and clients misbehave; then see what is left.

    Exit code 0 if no answer was wrong, every batch is in, once and to the bit, nothing failed but what a kill cut, and
    the service has given back what it took; 3 if not.
    """
    console = Console(highlight=False)
    try:
        with View(console) as view:
            result = soak(minutes * 60, seed, view)
    except (RuntimeError, ServiceError) as error:
        click.echo(f"loadgen: {error}", err=True)
        sys.exit(Exit.FAILED)
    click.echo(summary(result))
    sys.exit(Exit.WRONG if result.violations else Exit.WELL)


@contextmanager
def explaining(target: Target) -> Iterator[None]:
    """End with a line and the exit code for it, where the service does not answer or the command does not suit it."""
    try:
        yield
    except (OSError, ProtocolError, ServiceError) as error:  # first, for an SSLError is a ValueError as well
        said = error if isinstance(error, ServiceError) else unreachable(target, error)
        click.echo(f"loadgen: {said}", err=True)
        sys.exit(Exit.FAILED)
    except (UsageError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def show(plan: Plan, slos: tuple[Slo, ...], json_path: str | None, csv_path: str | None, plot: str | None) -> Exit:
    """Run, show it while it runs, report. How it went."""
    for path in (json_path, csv_path, plot):
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"cannot write {path}: there is no such folder")
    console = Console(highlight=False)
    with explaining(plan.target), View(console) as view:
        outcome = execute(plan, slos, view)
    report.print_summary(outcome, console)
    write(outcome, json_path, csv_path, plot)
    return outcome.exit()


def write(outcome: Outcome, json_path: str | None, csv_path: str | None, plot: str | None) -> None:
    """Write what was asked for.

    Raises:
        click.UsageError: it cannot be written.
    """
    try:
        if json_path is not None:
            report.write_json(outcome, json_path)
        if csv_path is not None:
            report.write_csv(outcome, csv_path)
        if plot is not None:
            write_plot(outcome, plot)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot write the report: {error}") from error


if __name__ == "__main__":
    sys.exit(run_command(main, "loadgen"))
