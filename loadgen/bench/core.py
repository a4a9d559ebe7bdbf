"""How fast and how small the core is, beside numpy: ``python -m loadgen.bench.core``.

With ``ours`` one of the two modules of ``loadgen.bench`` that import ``aggregation``. A full run takes some two minutes
and 3 GB of memory; a quick one (``--quick``) goes through the same motions with a hundredth of the prices, to see
that they work. With ``--beside REVISION`` the library as it was at that commit takes turns with this one.
"""

from __future__ import annotations

import importlib
import io
import math
import mmap
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, Final

import click
import numba
import numpy as np

import aggregation
from aggregation import Geometry, Layout, Series, SharedMemory, Statistics, Symbols
from aggregation.memory import MAP_NORESERVE

from .numpy_way import NumpyBlocks, Prices, window_statistics
from .table import Row, Section, render
from .timing import Contender, interleaved_medians, sample

FULL_K: Final = 8
QUICK_K: Final = 6

BEYOND_RETENTION: Final = 12_345
"""Prices appended beyond the retention: more than a batch, so rings have gone around, and no window starts or ends on a
block's edge: a fold has prices to sum up at both ends, and those on the left to decode."""

FEED: Final = 20
"""Different batches that the append benchmark goes through: few enough to stay in the cache, where a batch
that has just been parsed would be."""

FULL_SECONDS: Final = 3
QUICK_SECONDS: Final = 0.2
"""How long contenders take turns. A shared machine may be half as fast for seconds on end; shorter is a lottery."""

FOLD_SECONDS: Final = 20
"""For folds beside numpy over 10^8 prices, where one round takes a second."""

ROOT: Final = Path(aggregation.__file__).parents[1]
REAL_PRICES: Final = ROOT / "tests" / "data" / "prices"


def measure(quick: bool = False, beside: str | None = None) -> list[Section]:
    """Everything, in the order of the table."""
    geometry = Geometry(max_k=QUICK_K if quick else FULL_K)
    seconds = QUICK_SECONDS if quick else FULL_SECONDS
    prices = walk(geometry.retention + BEYOND_RETENTION)
    before = shared_memory()
    series = new_series(geometry)
    first_touch = fill(series, prices)
    held = shared_memory() - before
    window = prices[-geometry.retention :]
    fold = Section(
        f"fold: {geometry.retention:,} prices held, window of the newest 10^k",
        "numpy: min, max, last, mean, var of the same prices as one contiguous array, answers compared first.\n"
        "Median of interleaved rounds; a sample of tenfold is 100 calls on end, so all but the first find warm caches.",
        [
            *fold_rows(series, window, QUICK_SECONDS if quick else FOLD_SECONDS),
            *flatness_rows(series, prices, seconds),
            *adverse_rows(series, window, seconds),
        ],
    )
    append = Section(
        "append + roll up, one batch a time",
        "numpy: copy into a ring and whole-array summaries of the blocks of 10, 100, …; answers compared first.\n"
        "Every page touched before. Median of interleaved rounds; a sample is 100 batches of 1 or 100, one of 10,000.",
        [
            *append_rows(series, window, seconds),
            append_row("10,000 prices into fresh memory", first_touch, 10_000),
        ],
    )
    sharing = Section(
        "shared between processes",
        "What a symbol in shared memory costs more than a series of one's own, one price a batch.",
        sharing_rows(seconds),
    )
    del series
    sections = [fold, append, sharing]
    if beside is not None:
        sections.append(
            Section(
                f"beside the library as it was at {beside}: this one's time / that one's",
                "Interleaved rounds on symbols that hold as much; fresh memory once in turn for each million prices.",
                beside_rows(geometry, prices, seconds, beside),
            )
        )
    memory = Section(
        f"memory: {geometry.retention:,} prices held",
        "Resident shared memory, from smaps_rollup: everything that a symbol takes. Real prices are repeated.",
        [Row("the walk of this benchmark", held / geometry.retention, "B"), *memory_rows(geometry)],
    )
    del prices, window
    start = Section(
        "start-up: import aggregation, numpy and numba included",
        "In processes of their own; warm is the median of three.",
        start_up_rows(),
    )
    return [*sections, memory, start]


def machine() -> str:
    """What this was measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} as it began\n"
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, numba {numba.__version__}"
    )


def walk(count: int) -> Prices:
    """A seeded random walk from 100 on, with two decimals."""
    prices = np.random.default_rng(8).standard_normal(count)
    prices *= 0.001
    np.cumsum(prices, out=prices)
    prices += 100
    return np.round(prices, 2, out=prices)


def new_series(geometry: Geometry, library: Any = aggregation) -> Series:  # noqa: ANN401 - a module as it once was
    """An empty series over memory that nobody has touched."""
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    series: Series = library.Series(mmap.mmap(-1, geometry.slot_bytes, flags=flags), geometry)
    return series


def fill(series: Series, prices: Prices) -> float:
    """Append and roll up all prices in largest batches; the median time of one in µs."""
    times = []
    for begin in range(0, len(prices), series.geometry.max_batch):
        batch = prices[begin : begin + series.geometry.max_batch]
        started = perf_counter_ns()
        series.append(batch)
        series.roll_up()
        times.append(perf_counter_ns() - started)
    return median(times) / 1e3


def agree(ours: tuple[float, float, float, float], numpys: tuple[float, float, float, float]) -> None:
    """Compare (min, max, avg, var): the first two must be equal, the others close.

    Raises:
        AssertionError: they are not. A benchmark of wrong answers is none.
    """
    avg_close = math.isclose(ours[2], numpys[2], rel_tol=1e-12)
    var_close = math.isclose(ours[3], numpys[3], rel_tol=1e-9, abs_tol=1e-18)
    if ours[:2] != numpys[:2] or not avg_close or not var_close:
        raise AssertionError(f"tenfold says {ours}, numpy says {numpys}")


def answer(series: Series, k: int) -> Statistics:
    """The statistics of a series that holds something."""
    statistics = series.statistics(k)
    if statistics is None:
        raise AssertionError("the series is empty")
    return statistics


def fold_rows(series: Series, window: Prices, seconds: float) -> list[Row]:
    """A fold of every window beside numpy over the same raw prices, all of them in the same rounds."""
    top = series.geometry.max_k
    folds, numpys = [], []
    for k in range(1, top + 1):
        newest = window[-series.geometry.block_size(k) :]
        ours, theirs = answer(series, k), window_statistics(newest)
        agree((ours.min, ours.max, ours.avg, ours.var), (theirs[0], theirs[1], *theirs[3:]))
        if (ours.size, ours.last) != (len(newest), theirs[2]):
            raise AssertionError(f"tenfold says {ours}, numpy says {theirs}")
        folds.append(Contender(partial(series.statistics, k), calls=100))
        numpys.append(Contender(partial(window_statistics, newest), calls=max(1, min(100, 100_000 // len(newest)))))
    medians = interleaved_medians([*folds, *numpys], seconds)
    rows = [
        Row(f"k = {k}", fold, "µs", numpy=beside, at_most=3)
        for k, (fold, beside) in enumerate(zip(medians[:top], medians[top:], strict=True), start=1)
    ]
    # This target speaks of 10^8 prices; a quick run has nothing to hold against it.
    least = 10_000 if top == FULL_K else None
    rows.append(Row(f"k = {top}: numpy's time / tenfold's", medians[-1] / medians[top - 1], "×", at_least=least))
    return rows


def flatness_rows(series: Series, prices: Prices, seconds: float) -> list[Row]:
    """The same folds on a symbol with few prices: what does it cost that many are held?

    The small symbol has five prices more than a thousand, so that its window of a thousand is as ragged as the large
    symbol's and is tiled by as many pieces.
    """
    top = series.geometry.max_k
    small = new_series(series.geometry)
    small.append(prices[-1_005:])
    small.roll_up()
    ours, same = answer(small, 3), answer(series, 3)
    agree((ours.min, ours.max, ours.avg, ours.var), (same.min, same.max, same.avg, same.var))
    folds = [Contender(partial(one.statistics, k), calls=100) for k in (3, top) for one in (series, small)]
    large_3, small_3, large_top, small_top = interleaved_medians(folds, seconds)
    return [
        Row("k = 3 with 10^3 prices held", small_3, "µs", at_most=3),
        Row(f"k = 3: 10^{top} held / 10^3 held", large_3 / small_3, "×", note="the same thousand prices"),
        Row(f"k = {top}: 10^{top} held / 10^3 held", large_top / small_top, "×", note="all prices that each holds"),
    ]


def adverse_rows(series: Series, window: Prices, seconds: float) -> list[Row]:
    """The longest window under worse conditions: cold caches, or a batch that is not rolled up yet."""
    fold = Contender(partial(series.statistics, series.geometry.max_k))
    cold = []
    for _ in range(15):
        window.max()  # reads more than any cache holds
        cold.append(sample(fold))
    series.append(window[-series.geometry.max_batch :])
    (behind,) = interleaved_medians([fold._replace(calls=100)], seconds)
    series.roll_up()
    k = series.geometry.max_k
    return [
        Row(
            f"k = {k}, first call after numpy read all prices", median(cold), "µs", note="for information: cold caches"
        ),
        Row(f"k = {k}, newest 10,000 prices not rolled up", behind, "µs", note="for information"),
    ]


def append_rows(series: Series, ring: Prices, seconds: float) -> list[Row]:
    """Append and roll up batches of 1, 100 and 10,000 beside numpy, whose raw ring is ``ring``."""
    rows = []
    for size, most in ((1, 3), (100, 5), (10_000, 50)):
        taken, beside = interleaved_medians(append_contenders(series, ring, size), seconds)
        rows.append(append_row(f"{size:,} {'price' if size == 1 else 'prices'}", taken, size, beside, most))
    return rows


def append_contenders(series: Series, ring: Prices, size: int) -> list[Contender]:
    """Two that append and summarise the same batches of ``size`` prices, seen to agree about the first ten of them."""
    batches = list(ring[-FEED * size :].copy().reshape(-1, size))
    ours, numpys = cycle(batches), cycle(batches)
    blocks = NumpyBlocks(ring, size)

    def append() -> None:
        series.append(next(ours))
        series.roll_up()

    def append_numpy() -> None:
        blocks.append(next(numpys))

    for _ in range(10):
        append()
        append_numpy()
    statistics = answer(series, round(math.log10(10 * size)))
    agree((statistics.min, statistics.max, statistics.avg, statistics.var), blocks.newest(10 * size))
    calls = 1 if size == series.geometry.max_batch else 100
    return [Contender(append, calls), Contender(append_numpy, calls)]


def append_row(what: str, taken: float, size: int, beside: float | None = None, most: float | None = None) -> Row:
    """The time of a batch, with the time of one price as a note."""
    return Row(what, taken, "µs", numpy=beside, at_most=most, note=f"{taken * 1e3 / size:,.1f} ns a price")


def shared_memory() -> int:
    """Bytes of shared memory that this process has touched."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Shmem:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not say how much shared memory is resident")


def sharing_rows(seconds: float) -> list[Row]:
    """What the lock, the version check and finding the symbol cost, beside the same work on a series of one's own."""
    symbols = Symbols(SharedMemory(Layout(Geometry(max_k=QUICK_K))))
    batch = walk(1)
    symbols.append("A", batch)
    series = symbols.series("A")

    def shared_batch() -> None:
        symbols.append("A", batch)
        symbols.roll_up("A")

    def own_batch() -> None:
        series.append(batch)
        series.roll_up()

    rows = []
    for what, shared, own in (
        ("a batch: two locks, two checks", shared_batch, own_batch),
        ("statistics: one check, no lock", lambda: symbols.statistics("A", 1), lambda: series.statistics(1)),
    ):
        pair = interleaved_medians([Contender(shared, 100), Contender(own, 100)], seconds)
        note = f"{pair[0]:.2f} instead of {pair[1]:.2f} µs"
        rows.append(Row(what, pair[0] - pair[1], "µs", at_most=5, note=note))
    return rows


@contextmanager
def library_at(revision: str) -> Iterator[Any]:
    """The library as it was committed then, as a module of another name."""
    archive = ["git", "-C", str(ROOT), "archive", revision, "aggregation"]
    packed = subprocess.run(archive, capture_output=True, check=True).stdout  # a revision of our own  # nosec B603
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            files.extractall(directory, filter="data")
        (Path(directory) / "aggregation").rename(Path(directory) / "aggregation_before")
        sys.path.insert(0, directory)
        try:
            yield importlib.import_module("aggregation_before")
        finally:
            sys.path.remove(directory)


def beside_rows(geometry: Geometry, prices: Prices, seconds: float, revision: str) -> list[Row]:
    """How many times as long as the library of a revision this one takes for the same."""
    with library_at(revision) as library:
        its_geometry = library.Geometry(max_k=geometry.max_k)
        both = new_series(geometry), new_series(its_geometry, library)
        fresh: tuple[list[float], list[float]] = ([], [])
        for begin in range(0, len(prices), 1_000_000):
            for series, times in zip(both, fresh, strict=True):
                times.append(fill(series, prices[begin : begin + 1_000_000]))
        rows = []
        for size, most in ((1, 1.1), (100, 1.1), (10_000, 0.75)):
            batches = list(prices[-FEED * size :].copy().reshape(-1, size))
            contenders = [
                Contender(partial(append_next, series, cycle(batches)), 1 if size == geometry.max_batch else 100)
                for series in both
            ]
            rows.append(_ratio(f"append and roll up {size:,}", interleaved_medians(contenders, seconds), most))
        rows.append(_ratio("10,000 into fresh memory", [median(times) for times in fresh], 0.5))
        folds = [partial(series.statistics, geometry.max_k) for series in both]
        rows.append(_ratio(f"k = {geometry.max_k}", interleaved_medians([Contender(f, 100) for f in folds], seconds)))
        cold: tuple[list[float], list[float]] = ([], [])
        for turn in range(30):
            prices.max()  # reads more than any cache holds
            cold[turn % 2].append(sample(Contender(folds[turn % 2])))
        at_most = 1.0 if geometry.max_k == FULL_K else None
        rows.append(_ratio(f"k = {geometry.max_k}, cold caches", [median(times) for times in cold], at_most))
    return rows


def append_next(series: Series, batches: Iterator[Prices]) -> None:
    """Append the next batch, and roll up."""
    series.append(next(batches))
    series.roll_up()


def _ratio(what: str, times: list[float], at_most: float | None = None) -> Row:
    ours, its = times
    return Row(what, ours / its, "×", at_most=at_most, note=f"{ours:.2f} µs and {its:.2f} µs")


def memory_rows(geometry: Geometry) -> list[Row]:
    """Bytes a price of a full symbol for each kind of prices, and what an almost empty symbol takes."""
    rows = []
    for what, kind, most in kinds_of_prices():
        before = shared_memory()
        series = new_series(geometry)
        whole = np.resize(kind, max(len(kind), 1_000_000))
        for begin in range(0, geometry.retention, len(whole)):
            fill(series, whole[: geometry.retention - begin])
        held = (shared_memory() - before) / geometry.retention
        rows.append(Row(what, held, "B", at_most=most if geometry.max_k == FULL_K else None))
        del series
    before = shared_memory()
    small = new_series(Geometry())
    small.append(walk(100))
    small.roll_up()
    reserved = f"of {small.geometry.slot_bytes / 1e6:,.0f} MB reserved"
    return [*rows, Row("a symbol of 100 prices", (shared_memory() - before) / 1e3, "kB", at_most=64, note=reserved)]


def kinds_of_prices() -> Iterator[tuple[str, Prices, float]]:
    """What is held, and how many bytes a price it may take."""
    for name, file, most in (
        ("EUR/USD quotes", "eurusd_ticks", 0.65),
        ("BTC perpetual, minutes", "btcperp_minutes", 1.3),
        ("GBP/USD minutes", "gbpusd_minutes", 1.2),
        ("BTC trades", "btcusdt_trades", 1.8),
    ):
        yield name, np.loadtxt(REAL_PRICES / f"{file}.csv", skiprows=1), most
    rng = np.random.default_rng(3)
    steps = rng.standard_normal(1_000_000)
    yield "a walk of two decimals, σ 0.05", np.round(100 + 0.05 * np.cumsum(steps), 2), 0.9
    outliers = np.round(100 + 0.05 * np.cumsum(steps), 2)
    few = rng.integers(len(steps), size=len(steps) // 100)
    outliers[few] += rng.standard_normal(len(few))
    yield "the same, 1 % of full precision", outliers, 0.9
    bid_and_ask = np.round(100 + 0.01 * np.cumsum(steps), 2)
    bid_and_ask[1::2] += 0.01
    yield "bid and ask by turns", np.round(bid_and_ask, 2), 0.9
    yield "100 ± 1, full precision", 100 + steps, 6.6
    bits = rng.integers(0, 1 << 64, 1_100_000, dtype=np.uint64).view(np.float64)
    yield "random bits", bits[np.abs(bits) <= aggregation.MAX_PRICE], 8.3


def start_up_rows() -> list[Row]:
    """The import with an empty compilation cache, then with the cache that it left."""
    with tempfile.TemporaryDirectory() as cache:
        cold = import_seconds(cache)
        warm = median(import_seconds(cache) for _ in range(3))
    return [
        Row("compiled code cached", warm, "s", note="for information"),
        Row("compiling everything", cold, "s", note="for information: the first start after an installation"),
    ]


def import_seconds(cache: str) -> float:
    """Import aggregation in a new process that keeps its compiled code in ``cache``."""
    code = "from time import perf_counter as now; begin = now(); import aggregation; print(now() - begin)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]  # our own interpreter and code, so bandit need not worry
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # our own interpreter  # nosec B603
    return float(done.stdout)


@click.command()
@click.option("--quick", is_flag=True, help="Hold 10^6 prices instead of 10^8: a few seconds, to see that it works.")
@click.option("--beside", metavar="REVISION", help="Measure the library as it was at a commit in the same rounds.")
def main(quick: bool, beside: str | None) -> None:
    """Time append, roll-up and fold beside numpy, measure memory and start-up, and hold them against their targets."""
    print(machine(), end="\n\n", flush=True)
    print(render(measure(quick, beside)))


if __name__ == "__main__":
    main()
