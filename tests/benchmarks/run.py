"""What imagekit costs, as ratios against a floor measured in the same run: `python tests/benchmarks/run.py`.

Each ratio is the median over pairs of runs that follow one another, so that a machine that changes its speed changes
both. The goals are goals, not tests.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
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
from imagekit.bundle import archive, envelope, manifest, write  # noqa: E402
from imagekit.bundle.verified import open_bundle  # noqa: E402
from imagekit.bundle.write import Content  # noqa: E402
from imagekit.errors import ParseError  # noqa: E402
from imagekit.image import Image  # noqa: E402
from imagekit.signing_keys import SigningKey, st_keys  # noqa: E402
from imagekit.targets import select_target  # noqa: E402
from tests.support.bundles import private, public  # noqa: E402
from tests.support.corpus import CORPUS, FILES  # noqa: E402
from tests.support.images import content, throw_away_keys  # noqa: E402

HELLO = """import typer
app = typer.Typer()
@app.command()
def hello(name: str = "world"): print("hello", name)
app()
"""

# What `check` cannot leave out, in one process: read, SHA-256, and one ECDSA verification for each content.
FLOOR_OF_CHECK = """
import hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
paths, keys, seen = json.load(open(sys.argv[1])), {}, set()
for path, pem in paths:
    data = open(path, "rb").read()
    sha256 = hashlib.sha256(data).digest()
    if sha256 in seen or not pem:
        continue
    seen.add(sha256)
    if pem not in keys:
        keys[pem] = load_pem_public_key(open(pem, "rb").read())
    r, s = int.from_bytes(data[-84:-52], "big"), int.from_bytes(data[-52:-20], "big")
    try:
        keys[pem].verify(encode_dss_signature(r, s), data[:-84], ec.ECDSA(SHA256()))
    except InvalidSignature:
        pass
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


def assess_all() -> None:
    """Read and assess every file, as the library does."""
    for path in FILES:
        with suppress(ParseError):
            assess(Image.parse(path.read_bytes()))


def right_keys() -> dict[Path, str]:
    """Return the name of the key that verifies each image, any key's for those that none verifies."""
    names = {}
    for path in FILES:
        with suppress(ParseError):
            names[path] = (assess(Image.parse(path.read_bytes())).signature.key or st_keys()[0]).name
    return names


def floor_of_assess(*, hash_once: bool) -> Callable[[], None]:
    """Return the work nobody can leave out: read, SHA-256 of the file, one ECDSA verification under the right key.

    With `hash_once` the verification reuses the file's hash; without, the library hashes the message again.
    """
    public_keys = {key.name: key.public_key for key in st_keys()}
    keys = {path: public_keys[name] for path, name in right_keys().items()}

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


def measure_start_up(program: list[str], folder: Path) -> None:
    """Measure what one command costs a person."""
    (folder / "hello.py").write_text(HELLO)
    hello, against = wall(sys.executable, str(folder / "hello.py")), "a typer program that says hello"
    image = str(FILES[-1] if FILES else ROOT / "fixtures" / "images" / "stack-4k.bin")
    report("imagekit --version, wall", against, ratio(wall(*program, "--version"), hello, 15), 1.2)
    report("imagekit inspect FILE, wall", against, ratio(wall(*program, "inspect", image), hello, 15), 1.5)


def measure_assess() -> None:
    """Measure the library on every file."""
    what = f"assess, {len(FILES)} files, CPU"
    for hash_once, against, goal in (
        (False, "read + SHA-256 + ECDSA verify", 1.3),
        (True, "the same, hashing each file once", None),
    ):
        report(what, against, ratio(cpu(assess_all), cpu(floor_of_assess(hash_once=hash_once)), 9), goal)


def measure_check(program: list[str], folder: Path) -> None:
    """Measure `check` on every file, and its memory on ten times as many."""
    keys, data = right_keys(), ROOT / "imagekit" / "data" / "keys"
    paths = [(str(path), str(data / f"{keys[path]}.pem") if path in keys else "") for path in FILES]
    (folder / "paths.json").write_text(json.dumps(paths))
    (folder / "floor.py").write_text(FLOOR_OF_CHECK)
    floor = wall(sys.executable, str(folder / "floor.py"), str(folder / "paths.json"))
    measured = ratio(wall(*program, "check", str(CORPUS)), floor, 15)
    report(f"imagekit check, {len(FILES)} files, wall", "one process: read + SHA-256 + one verify each", measured, 1.5)
    peaks = []
    for times in (1, 10):
        links = folder / f"links-{times}"
        links.mkdir()
        for index in range(times):
            (links / f"{index}").symlink_to(CORPUS)
        peaks.append(peak_mib(*program, "check", *map(str, links.iterdir())))
    print(f"peak memory of check: {peaks[0]:.1f} MiB on {len(FILES)} files, {peaks[1]:.1f} on {len(FILES) * 10}")


def two_image_bundle() -> tuple[bytes, list[SigningKey]]:
    """Return a bundle of a FUS and a stack, real ones where they are, that the Ed25519 fixture key signs."""
    folder, names = CORPUS / "v1.23.0" / "STM32WB5x", ("stm32wb5x_FUS_fw.bin", "stm32wb5x_BLE_Stack_full_fw.bin")
    is_real = all((folder / name).exists() for name in names)
    keys = list(st_keys() if is_real else throw_away_keys())
    datas = (
        [(folder / name).read_bytes() for name in names]
        if is_real
        else [content("fus-2.2.0"), content("stack-fus2-4k")]
    )
    inside = [Content(assessment=assess(Image.parse(data), keys), data=data) for data in datas]
    stated = write.make_manifest(inside, [select_target("WB55RG")], name="product", sequence=1, created=0)
    payload = manifest.dumps(stated)
    return write.write_bundle(payload, [write.signature(private("ed25519"), payload)], inside), keys


def measure_bundle(folder: Path) -> None:
    """Measure opening a bundle against what cannot be left out, and its memory against its size."""
    data, keys = two_image_bundle()
    path, trusted = folder / "product.wbz", [public("ed25519")]
    path.write_bytes(data)
    opened = open_bundle(data, trusted, 1, keys)
    signed = envelope.loads(archive.read_archive(data)[archive.MANIFEST_NAME])
    places = [(data.index(image), len(image), opened.assessments[sha256]) for sha256, image in opened.images.items()]

    def floor() -> None:
        for _ in range(20):
            read = path.read_bytes()
            trusted[0].verify(signed.signatures[0].sig, signed.signed)  # type: ignore[call-arg]
            for start, size, assessment in places:
                image = read[start : start + size]
                digest = hashlib.sha256(image[:-84])
                key = assessment.signature.key
                assert key
                r, s = int.from_bytes(image[-84:-52], "big"), int.from_bytes(image[-52:-20], "big")
                key.public_key.verify(encode_dss_signature(r, s), digest.digest(), ec.ECDSA(Prehashed(SHA256())))
                digest.update(image[-84:])

    def measured() -> None:
        for _ in range(20):
            open_bundle(path.read_bytes(), trusted, 1, keys)

    what = f"open_bundle, {len(data) // 1024} KiB, CPU, 20 times"
    report(what, "read + SHA-256 + one verify for each signature", ratio(cpu(measured), cpu(floor), 25), 1.3)
    tracemalloc.start()
    open_bundle(path.read_bytes(), trusted, 1, keys)
    peak = tracemalloc.get_traced_memory()[1] / len(data)
    tracemalloc.stop()
    print(f"peak memory of open_bundle: {peak:.2f} times the bundle, goal 3.0  {'met' if peak <= 3 else 'MISSED'}")


def main() -> None:
    """Print the table."""
    program = [sys.executable, "-m", "imagekit"]
    print(f"{'measured':<32} / {'against':<44} ratio   (against)")
    with tempfile.TemporaryDirectory() as name:
        measure_start_up(program, Path(name))
        measure_bundle(Path(name))
        if not FILES:
            print(f"no STM32CubeWB releases in {CORPUS}: the rest is not measured")
            return
        measure_assess()
        measure_check(program, Path(name))


if __name__ == "__main__":
    main()
