"""What imagekit costs, as ratios against a floor measured in the same run: `python tests/benchmarks/run.py`.

Each ratio is the median over pairs of runs that follow one another, so that a machine that changes its speed changes
both. The goals are goals, not tests.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from imagekit.assessment import assess  # noqa: E402
from imagekit.errors import ParseError  # noqa: E402
from imagekit.image import Image  # noqa: E402
from imagekit.signing_keys import st_keys  # noqa: E402
from tests.support.corpus import CORPUS, FILES  # noqa: E402

HELLO = """import typer
app = typer.Typer()
@app.command()
def hello(name: str = "world"): print("hello", name)
app()
"""


def ratio(measure: Callable[[], float], floor: Callable[[], float], pairs: int) -> tuple[float, float]:
    """Return the median ratio, and the median seconds of the floor."""
    measure(), floor()
    runs = [(measure(), floor()) for _ in range(pairs)]
    return median(one / other for one, other in runs), median(other for _, other in runs)


def wall(*command: str) -> Callable[[], float]:
    """Return a function that runs a command and returns its seconds."""

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run


def cpu(work: Callable[[], None]) -> Callable[[], float]:
    """Return a function that does the work and returns its CPU seconds."""

    def run() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return run


def assess_all() -> None:
    """Read and assess every file, as the library does."""
    for path in FILES:
        try:
            assess(Image.parse(path.read_bytes()))
        except ParseError:
            continue


def right_keys() -> dict[Path, ec.EllipticCurvePublicKey]:
    """Return the key that verifies each image, any key for those that none verifies."""
    keys = {}
    for path in FILES:
        try:
            key = assess(Image.parse(path.read_bytes())).signature.key or st_keys()[0]
        except ParseError:
            continue
        keys[path] = key.public_key
    return keys


def floor(*, hash_once: bool) -> Callable[[], None]:
    """Return the work nobody can leave out: read, SHA-256 of the file, one ECDSA verification under the right key.

    With `hash_once` the verification reuses the file's hash; without, the library hashes the message again.
    """
    keys = right_keys()

    def verify(key: ec.EllipticCurvePublicKey, data: bytes) -> None:
        r, s = int.from_bytes(data[-84:-52], "big"), int.from_bytes(data[-52:-20], "big")
        digest = hashlib.sha256(data[:-84])
        signed = digest.digest() if hash_once else data[:-84]
        algorithm = ec.ECDSA(Prehashed(SHA256()) if hash_once else SHA256())
        digest.update(data[-84:])
        with suppress(InvalidSignature):
            key.verify(encode_dss_signature(r, s), signed, algorithm)

    def work() -> None:
        for path, key in keys.items():
            verify(key, path.read_bytes())

    return work


def report(what: str, against: str, measured: tuple[float, float], goal: float | None) -> None:
    """Print one line of the table."""
    value, base = measured
    verdict = "" if goal is None else f"goal {goal:.1f}  {'met' if value <= goal else 'MISSED'}"
    print(f"{what:<32} / {against:<44} {value:5.2f}   ({base * 1000:6.1f} ms)  {verdict}")


def main() -> None:
    """Print the table."""
    program = [sys.executable, "-m", "imagekit"]
    image = FILES[-1] if FILES else ROOT / "fixtures" / "images" / "stack-4k.bin"
    with tempfile.TemporaryDirectory() as folder:
        hello = Path(folder) / "hello.py"
        hello.write_text(HELLO)
        floor_wall = wall(sys.executable, str(hello))
        print(f"{'measured':<32} / {'against':<44} ratio   (against)")
        report(
            "imagekit --version, wall",
            "a typer program that says hello",
            ratio(wall(*program, "--version"), floor_wall, 15),
            1.2,
        )
        report(
            "imagekit inspect FILE, wall",
            "a typer program that says hello",
            ratio(wall(*program, "inspect", str(image)), floor_wall, 15),
            1.5,
        )
    if not FILES:
        print(f"no STM32CubeWB releases in {CORPUS}: the rest is not measured")
        return
    for hash_once, against, goal in (
        (False, "read + SHA-256 + ECDSA verify", 1.3),
        (True, "the same, hashing each file once", None),
    ):
        report(
            f"assess, {len(FILES)} files, CPU",
            against,
            ratio(cpu(assess_all), cpu(floor(hash_once=hash_once)), 9),
            goal,
        )


if __name__ == "__main__":
    main()
