"""Look up every locked dependency among the known vulnerabilities: ``make audit``.

pip-audit skips what its advisory source does not know, and then says "No known vulnerabilities found". Here what was
not audited is said to be so. A known vulnerability fails the audit; a missing network does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SECONDS = 18
"""Then the source counts as out of reach."""


def main() -> int:
    """Audit all lock files at once; 1 if something in them is vulnerable, or if pip-audit cannot read them."""
    locks = sorted(Path(__file__).parents[1].glob("requirements*.lock"))
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json"]
    command += [word for lock in locks for word in ("-r", str(lock))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return report("the advisory source does not answer")
    if not done.stdout:
        reason = done.stderr.strip().rpartition("\n")[2]
        return report(reason, failed="connect" not in reason.lower() and "connection" not in done.stderr.lower())
    dependencies = json.loads(done.stdout)["dependencies"]
    audited = [one for one in dependencies if "vulns" in one]
    flaws = [f"{one['name']} {one['version']}: {flaw['id']}" for one in audited for flaw in one["vulns"]]
    if not audited:
        return report(f"the advisory source knows none of the {len(dependencies)} locked dependencies")
    print(f"audit: {len(audited)} of {len(dependencies)} locked dependencies looked up, {len(flaws)} flaws", *flaws)
    return bool(flaws)


def report(reason: str, *, failed: bool = False) -> int:
    """Say that there was no audit, and why."""
    print(f"audit: NOTHING was audited: {reason}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
