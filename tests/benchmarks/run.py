"""What imagekit costs, as ratios against a floor measured in the same run: `python tests/benchmarks/run.py`.

`--breakdown` adds where the time goes, `--peers` other makers' tools side by side (it installs them from PyPI into an
environment of its own, for this run). The goals are goals, not tests; docs/performance.md says how to read the tables.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

sys.path.insert(0, str(Path(__file__).parents[2]))

from imagekit.assessment import assess
from imagekit.bundle import archive, envelope, manifest_json, write
from imagekit.bundle.verified import open_bundle
from imagekit.bundle.write import BundleContent
from imagekit.errors import ParseError
from imagekit.image.model import Image
from imagekit.image.signing_keys import SigningKey, st_keys
from imagekit.targets import select_target
from tests.benchmarks import breakdown, install, peers, probe
from tests.benchmarks.measure import (
    PROGRAM,
    RATIOS,
    ROOT,
    cpu,
    head,
    machine,
    peak_mib,
    prepare,
    program_cpu,
    ratio,
    report,
    row,
    verdict,
    wall,
)
from tests.support.bundles import private, public, public_file
from tests.support.corpus import CORPUS, FILES
from tests.support.images import IMAGES, content, throw_away_keys

HELLO = """import typer
app = typer.Typer()
@app.command()
def hello(name: str = "world"): print("hello", name)
app()
"""

# What `check` and `audit` cannot leave out, in one process: read, SHA-256, one ECDSA verification for each content; and
# for `audit`, the pages parsed.
FLOOR = """
import hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
(files, pages), keys, seen = json.load(open(sys.argv[1])), {}, set()
for path, pem in files:
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
if pages:
    import lxml.html
for page in pages:
    lxml.html.document_fromstring(open(page, "rb").read())
"""

A_FILE = FILES[-1] if FILES else IMAGES / "stack-4k.bin"


# Read, SHA-256 and one ECDSA verification, in a process that does nothing else.
FLOOR_OF_ONE = """
import hashlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
data = open(sys.argv[1], "rb").read()
hashlib.sha256(data).digest()
r, s = int.from_bytes(data[-84:-52], "big"), int.from_bytes(data[-52:-20], "big")
try:
    load_pem_public_key(open(sys.argv[2], "rb").read()).verify(
        encode_dss_signature(r, s), data[:-84], ec.ECDSA(SHA256())
    )
except InvalidSignature:
    pass
"""


def measure_start_up(folder: Path) -> None:
    """Measure the CPU time of one command, its start included."""
    (folder / "hello.py").write_text(HELLO)
    (folder / "floor-of-one.py").write_text(FLOOR_OF_ONE)
    hello, against = program_cpu(sys.executable, str(folder / "hello.py")), "a typer program that says hello"
    key = sorted((ROOT / "imagekit" / "data" / "keys").glob("*.pem"))[0]
    floor = program_cpu(sys.executable, str(folder / "floor-of-one.py"), str(A_FILE), str(key))
    inspect = program_cpu(*PROGRAM, "inspect", str(A_FILE))
    report("imagekit --version", against, ratio(program_cpu(*PROGRAM, "--version"), hello, 15), 0.4)
    report("imagekit inspect FILE", "read + SHA-256 + ECDSA in a process", ratio(inspect, floor, 15), 1.8)
    if find_spec("esptool"):
        esptool = program_cpu(sys.executable, "-m", "esptool", "version")
        report("imagekit inspect FILE, to a peer", "esptool version", ratio(inspect, esptool, 15), 0.8)
    data, keys = two_image_bundle()
    if keys == list(st_keys()):
        (folder / "start-up.wbz").write_bytes(data)
        command = ("bundle", "verify", str(folder / "start-up.wbz"), "--trust", str(public_file("ed25519")))
        report("imagekit bundle verify", against, ratio(program_cpu(*PROGRAM, *command), hello, 15))


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
    inside = [BundleContent(assessment=assess(Image.parse(data), keys), data=data) for data in datas]
    stated = write.make_manifest(inside, [select_target("WB55RG")], name="product", sequence=1, created=0)
    payload = manifest_json.dumps(stated)
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

    what = f"open_bundle, {len(data) // 1024} KiB, 20 times, CPU"
    report(what, "read + SHA-256 + one verify for each signature", ratio(cpu(measured), cpu(floor), 25), 1.5)
    tracemalloc.start()
    open_bundle(path.read_bytes(), trusted, 1, keys)
    peak = tracemalloc.get_traced_memory()[1] / len(data)
    tracemalloc.stop()
    row("open_bundle, peak memory", "the bundle's size", f"{peak:.2f}", "", verdict("3.0", peak <= 3))


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
    """Return the work that cannot be left out: read, SHA-256 of the file, one ECDSA verification under the right key.

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


def measure_assess(folder: Path) -> None:  # noqa: ARG001 - every block of rows is called alike
    """Measure the library on every file."""
    what = f"assess, {len(FILES)} files, CPU"
    for hash_once, against, goal in (
        (False, "read + SHA-256 + ECDSA verify", 1.3),
        (True, "the same, hashing each file once", None),
    ):
        report(what, against, ratio(cpu(assess_all), cpu(floor_of_assess(hash_once=hash_once)), 9), goal)


def measure_check(folder: Path) -> None:
    """Measure `check` on every file, and its memory on ten times as many."""
    measured = ratio(wall(*PROGRAM, "check", str(CORPUS)), floor_of_files(folder, pages=[]), 15)
    report(f"imagekit check, {len(FILES)} files, wall", "one process: read + SHA-256 + one verify each", measured, 1.1)
    peaks = []
    for times in (1, 10):
        links = folder / f"links-{times}"
        links.mkdir()
        for index in range(times):
            (links / f"{index}").symlink_to(CORPUS)
        peaks.append(peak_mib(*PROGRAM, "check", *map(str, links.iterdir())))
    what, against = (
        f"imagekit check, {len(FILES) * 10} files, memory",
        f"that of {len(FILES)} files: {peaks[0]:.1f} MiB",
    )
    row(what, against, f"{peaks[1] / peaks[0]:.2f}", "", "")


def measure_audit(folder: Path) -> None:
    """Measure `audit` on every release, where lxml is."""
    pages = sorted(CORPUS.rglob("Release_Notes.html"))
    measured = ratio(wall(*PROGRAM, "audit", str(CORPUS)), floor_of_files(folder, pages=pages), 9)
    what = f"imagekit audit, {len(pages)} folders, wall"
    report(what, "one process: the same, and every page parsed", measured)


def floor_of_files(folder: Path, pages: list[Path]) -> Callable[[], float]:
    """Return a function that runs FLOOR over every file and some pages, and returns its seconds."""
    keys, data = right_keys(), ROOT / "imagekit" / "data" / "keys"
    files = [(str(path), str(data / f"{keys[path]}.pem") if path in keys else "") for path in FILES]
    (folder / "floor.py").write_text(FLOOR)
    paths = folder / f"paths-{len(pages)}.json"
    paths.write_text(json.dumps((files, list(map(str, pages)))))
    return wall(sys.executable, str(folder / "floor.py"), str(paths))


def measure_probe(folder: Path) -> None:  # noqa: ARG001
    """Measure the simulated J-Link library."""
    probe.measure()


BLOCKS = (measure_start_up, measure_bundle, measure_probe, install.report_costs)
"""Blocks of rows, each a function of a folder to work in."""

BLOCKS_OF_CORPUS = (measure_assess, measure_check, measure_audit)
"""Blocks that need STM32CubeWB releases."""


EXPECTED = Path(__file__).with_name("expected.json")
"""Row -> the ratio that was measured when it last changed on purpose."""
PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- table: python tests/benchmarks/run.py --write -->\n", "<!-- end of table -->\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What imagekit costs, as ratios against a floor.")
    parser.add_argument("--short", action="store_true", help="for CI: a few rows; fails when a ratio doubled")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--breakdown", action="store_true", help="where the time goes")
    parser.add_argument("--peers", action="store_true", help="esptool and imgtool too, installed from PyPI")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder / "bytecode")
        if options.short:
            print_table(folder, (measure_start_up, measure_bundle))
            sys.exit("\n".join(doubled()) or 0)
        if options.write:
            write_page(folder)
            return
        print_table(folder, (*BLOCKS, *(BLOCKS_OF_CORPUS if FILES else ())))
        if options.breakdown:
            data, keys = two_image_bundle()
            breakdown.measure(A_FILE, CORPUS if FILES else None, data, [public("ed25519")], keys)
        if options.peers:
            peers.measure(folder, sorted(FILES or [A_FILE], key=lambda path: path.stat().st_size)[len(FILES) // 2])


def print_table(folder: Path, blocks: Sequence[Callable[[Path], None]]) -> None:
    """Print what was measured on, then the rows."""
    print(f"{machine()}\n")
    head("measured", "against", "ratio (quartiles)", "against is", "goal")
    for block in blocks:
        block(folder)
    if not FILES:
        print("\nno STM32CubeWB releases (IMAGEKIT_CORPUS): assess, check and audit are not measured")


def doubled() -> list[str]:
    """Return a line for each ratio that is more than twice the expected one."""
    expected = json.loads(EXPECTED.read_bytes())
    return [
        f"{what}: {expected[what]:.2f} before, {value:.2f} now"
        for what, value in RATIOS.items()
        if what in expected and value > 2 * expected[what]
    ]


def write_page(folder: Path) -> None:
    """Put a new table between the marks in docs/performance.md."""
    table = StringIO()
    with redirect_stdout(table):
        print_table(folder, (*BLOCKS, *(BLOCKS_OF_CORPUS if FILES else ())))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n{table.getvalue()}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
