"""Run the fault matrix, and print it as a table in Markdown: python tests/fault_matrix.py [--jobs N] [--every K].

What a case is, and what counts as what: docs/fault-matrix.md. Cases that went wrong are listed on the standard error.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.fault_matrix import (
    BEHAVIOURS,
    EVERY_SCENARIO,
    SCENARIOS,
    Case,
    Verdict,
    bare,
    cases,
    clean_run,
    pairs,
    run_cases,
    sample,
    tally,
)

COLUMNS = (
    "cases",
    "installed by run 1",
    "installed by run 2",
    "installed by run 3",
    "refused first",
    "factory resets",
    "struck while FUS wrote",
    "bricks",
    "blind commands",
    "stray writes",
    "wrong",
)
_CHUNK = 25


def _run(chunk: Sequence[Case]) -> list[Verdict]:
    with tempfile.TemporaryDirectory() as folder:
        return list(run_cases(chunk, Path(folder)))


def _row(name: str, accesses: int | str, count: Counter[str]) -> str:
    cells = (name, accesses, *(count[column] for column in COLUMNS))
    return "| " + " | ".join(map(str, cells)) + " |"


def _chosen(name: str, options: argparse.Namespace) -> tuple[int, list[Case]]:
    """Return how many accesses a scenario has, and its cases."""
    with tempfile.TemporaryDirectory() as folder, bare(Path(folder)):
        accesses = len(clean_run(EVERY_SCENARIO[name])[0])
        if options.behaviours:
            return accesses, [*sample(name, options.behaviours), *pairs(name, options.behaviours)]
        return accesses, [*cases(name, options.every), *pairs(name, options.pairs)]


def main() -> int:
    """Run all that was asked for; 1 when a case went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="processes at the same time")
    parser.add_argument(
        "--scenario", action="append", choices=list(EVERY_SCENARIO), metavar="NAME", help="only this one"
    )
    parser.add_argument("--every", type=int, default=1, metavar="K", help="every K-th access only")
    parser.add_argument("--pairs", type=int, default=100, metavar="N", help="N cases more in which run 2 is struck too")
    parser.add_argument(
        "--behaviours", type=int, metavar="N", help="what is unknown about silicon: N cases for each kind of fault"
    )
    options = parser.parse_args()
    names = options.scenario or list(BEHAVIOURS if options.behaviours else SCENARIOS)
    print("| scenario | accesses | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "--:|" * (len(COLUMNS) + 1), flush=True)
    total: Counter[str] = Counter()
    start = time.monotonic()
    with multiprocessing.Pool(options.jobs) as pool:
        for name in names:
            accesses, every = _chosen(name, options)
            count: Counter[str] = Counter()
            chunks = [every[at : at + _CHUNK] for at in range(0, len(every), _CHUNK)]
            for verdicts in pool.imap_unordered(_run, chunks):
                count += tally(verdicts)
                for verdict in verdicts:
                    if verdict.problems:
                        problems = "; ".join(verdict.problems)
                        print(f"{verdict.case}: {problems} {verdict.texts}", file=sys.stderr, flush=True)
            print(_row(name, accesses, count), flush=True)
            total += count
    print(_row("all", "", total))
    print(f"\n{total['cases']} cases in {(time.monotonic() - start) / 60:.0f} minutes")
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
