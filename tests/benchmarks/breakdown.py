"""Where the time of `imagekit check` and of open_bundle goes: what is behind a goal that is missed."""

import hashlib
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from zlib import crc32

from imagekit.bundle import archive, envelope, manifest_json, verified
from imagekit.bundle.keys import PublicKey, distinct, verifies
from imagekit.image.signature import signature_verdict
from imagekit.image.signing_keys import SigningKey
from tests.benchmarks.measure import PROGRAM, wall

_IMPORT = re.compile(r"import time: +([0-9]+) \| +[0-9]+ \|( +)([\w.]+)")
_PYTHON, _PYDANTIC = "Python's library", "pydantic, which typer loads"
_PACKAGES = {name: name for name in ("imagekit", "typer", "cryptography", "construct")}
_PACKAGES |= dict.fromkeys(("typer._adapters", "pydantic", "pydantic_core", "annotated_types"), _PYDANTIC)


def measure(
    file: Path, corpus: Path | None, bundle: bytes, trusted: Sequence[PublicKey], st_keys: Sequence[SigningKey]
) -> None:
    """Print both breakdowns, in Markdown."""
    print("\n| `imagekit check` | ms |\n| --- | ---: |")
    one = _median(wall(*PROGRAM, "check", str(file)))
    loaded = [_imports(file) for _ in range(9)]
    bare = _median(wall(sys.executable, "-c", "pass"))
    _row("Python starts", bare * 1000)
    for package in sorted(loaded[0]):
        _row(f"modules loaded: {package}", median(run[package] for run in loaded))
    _row("all else with one file", one * 1000 - bare * 1000 - median(sum(run.values()) for run in loaded))
    if corpus:
        _row("the other files, on all cores", (_median(wall(*PROGRAM, "check", str(corpus))) - one) * 1000)
    _print_bundle(bundle, trusted, st_keys)


def _imports(file: Path) -> dict[str, float]:
    """Milliseconds of modules loaded, by package; a package counts what it alone brings from Python's library."""
    command = (sys.executable, "-X", "importtime", *PROGRAM[1:], "check", str(file))
    log = subprocess.run(command, check=False, capture_output=True, text=True).stderr
    total: dict[str, float] = defaultdict(float)
    owners: dict[int, str] = {}  # depth -> package: in the log, a module stands behind those that it loads
    for microseconds, depth, module in reversed(_IMPORT.findall(log)):
        package = _PACKAGES.get(module) or _PACKAGES.get(module.partition(".")[0])
        loader = owners.get(len(depth) - 2, _PYTHON)
        owners[len(depth)] = package or (_PYTHON if loader == "imagekit" else loader)
        total[owners[len(depth)]] += int(microseconds) / 1000
    return total


def _print_bundle(bundle: bytes, trusted: Sequence[PublicKey], st_keys: Sequence[SigningKey]) -> None:
    """Print what the checks of a bundle take, and what of it is spent in C, whatever is written around it."""
    opened = verified.open_bundle(bundle, trusted, 1, st_keys)
    times: dict[str, list[float]] = defaultdict(list)
    start = 0.0

    def lap(what: str) -> None:
        nonlocal start
        times[what].append((time.perf_counter() - start) * 1e6)
        start = time.perf_counter()

    for _ in range(300):
        start = time.perf_counter()
        members = archive.read_archive(bundle)
        lap("checks 1, 2: sizes, archive")
        signed = envelope.loads(members.pop(archive.MANIFEST_NAME))
        lap("checks 3, 4: envelope")
        verified._signers(signed, distinct(trusted), 1)
        lap("check 5: signatures")
        stated = manifest_json.loads(signed.payload)
        lap("check 6: manifest")
        verified.examine(stated, members, st_keys)
        lap("checks 7 to 10: images, addresses, steps")
        verifies(trusted[0], signed.signatures[0].sig, signed.signed)
        for one in opened.assessments.values():
            signature_verdict(one.image, [one.signature.key] if one.signature.key else [])
        lap("of all: signatures")
        for image in opened.images.values():
            hashlib.sha256(image).digest()
        lap("of all: SHA-256")
        for image in opened.images.values():
            crc32(image)
        lap("of all: CRC-32")
        json.dumps(json.loads(signed.payload), sort_keys=True)
        lap("of all: the manifest's JSON, read and written")
    print("\n| `open_bundle` | us |\n| --- | ---: |")
    for what, each in times.items():
        _row(what, median(each))


def _median(run: Callable[[], float]) -> float:
    run()
    return median(run() for _ in range(15))


def _row(what: str, value: float) -> None:
    print(f"| {what} | {value:.0f} |", flush=True)
