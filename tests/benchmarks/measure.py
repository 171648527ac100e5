"""How the benchmarks measure: pairs of runs that follow one another, and the table that they print, in Markdown."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "imagekit")
_WIDTHS = (35, 47, 16, 10, 12)


def prepare(bytecode: Path) -> None:
    """Have every program that is measured run this checkout, compiled, as an installed package is.

    An environment that forbids bytecode would have each run compile imagekit anew, and no other package.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(bytecode)
    os.environ["PYTHONPATH"] = str(ROOT)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of pairs of runs: median and quartiles."""

    median: float
    low: float
    high: float
    floor: float
    """Median seconds of the floor."""

    @property
    def is_clear(self) -> bool:
        """Whether the quartiles lie close enough together to judge the median."""
        return self.high - self.low <= _WIDEST_SPREAD * self.median


_WIDEST_SPREAD = 0.25
"""Of the median. On an idle machine the quartiles of start-up lie within a tenth of it."""


def ratio(measure: Callable[[], float], floor: Callable[[], float], pairs: int) -> Ratio:
    """Return the ratio of pairs of runs that follow one another: a machine that slows down slows both."""
    measure(), floor()
    runs = [(measure(), floor()) for _ in range(pairs)]
    low, middle, high = quantiles([measured / base for measured, base in runs], n=4)
    return Ratio(middle, low, high, median(base for _, base in runs))


def program_cpu(*command: str) -> Callable[[], float]:
    """Return a function that runs a command and returns its CPU seconds, which other programs change little."""
    if not hasattr(os, "wait4"):
        return wall(*command)

    def run() -> float:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    return run


def wall(*command: str) -> Callable[[], float]:
    """Return a function that runs a command and returns its seconds."""

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run


def cpu(work: Callable[[], None]) -> Callable[[], float]:
    """Return a function that does the work and returns its CPU seconds."""

    def run() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return run


def peak_mib(*command: str) -> float:
    """Return the peak memory of a command, in MiB."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    result = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True)
    return int(result.stdout) / 1024


def machine() -> str:
    """Return what the numbers were measured on: processor, cores, Python, system, packages. No name, no path."""
    packages = ("typer", "pydantic", "cryptography", "construct", "lxml", "pylink-square")
    versions = []
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return (
        f"{_processor()}, {os.cpu_count()} cores; {platform.python_implementation()} {platform.python_version()}; "
        f"{_system()}; {', '.join(versions)}; load before: {_load()}"
    )


def _processor() -> str:
    """The processor's model, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    with suppress(OSError):
        release = platform.release().partition("-")[0]
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {release}"
    return f"{platform.system()} {platform.release()}"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"


def head(*columns: str) -> None:
    """Print the head of a table."""
    row(*columns)
    row(*("-" * width for width in _WIDTHS))


def row(*cells: str) -> None:
    """Print one row: texts to the left, numbers to the right."""
    aligned = [f"{cell:{'<' if index < 2 else '>'}{_WIDTHS[index]}}" for index, cell in enumerate(cells)]
    print(f"| {' | '.join(aligned)} |", flush=True)


RATIOS: dict[str, float] = {}
"""The row of each ratio -> its median, in this run."""


def report(what: str, against: str, measured: Ratio, goal: float | None = None) -> None:
    """Print a ratio with its quartiles, what one is in milliseconds, and whether the goal is met."""
    RATIOS[what] = measured.median
    judged = "" if goal is None else verdict(f"{goal}", measured.median <= goal)
    if goal is not None and not measured.is_clear:
        judged = f"{goal} too busy"
    spread = f"{measured.median:.2f} ({measured.low:.2f}-{measured.high:.2f})"
    row(what, against, spread, f"{measured.floor * 1000:.1f} ms", judged)


def verdict(goal: str, is_met: bool) -> str:
    """Return a goal, and whether it is met."""
    return f"{goal} {'met' if is_met else 'MISSED'}"
