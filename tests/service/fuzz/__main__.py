"""``make fuzz SECONDS=600``: the tests beside this, round after round with other examples, until the time is over.

A round is a run of pytest with a seed of its own, which is printed; ``make fuzz SECONDS=1 SEED=…`` repeats that round.
It takes some twenty seconds, by which the time may be overrun. Exits with 1 after the first round that found something,
and pytest has said what.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.service.fuzz.effort import TALLY


def main() -> int:
    """Run rounds for as many seconds as the first argument says; the second, if any, is the seed of the first."""
    seconds, *seeds = sys.argv[1:]
    began = time.monotonic()
    done: Counter[str] = Counter()
    rounds = failed = 0
    while not failed and time.monotonic() < began + float(seconds):
        rounds += 1
        seed = int(seeds.pop()) if seeds else random.randrange(2**32)
        print(f"round {rounds}, SEED={seed}", flush=True)
        with tempfile.NamedTemporaryFile() as tally:
            failed = run(seed, tally.name)
            done.update(json.loads(Path(tally.name).read_text() or "{}"))
    took = time.monotonic() - began
    figures = ", ".join(f"{number:,} {what} ({number / took:.0f}/s)" for what, number in sorted(done.items()))
    print(f"{'A VIOLATION in round' if failed else 'no violation in rounds:'} {rounds}, {took:.0f} s, {figures}")
    return int(failed != 0)


def run(seed: int, tally: str) -> int:
    """One round; returns pytest's exit code, and has what was done written to a file."""
    options = ["-qq", "-x", "-p", "no:cacheprovider", "--timeout=600", f"--hypothesis-seed={seed}"]
    environment = {**os.environ, TALLY: tally}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(Path(__file__).parent)], env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
