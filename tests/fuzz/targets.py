"""What is fuzzed: each reader of bytes from outside, the errors it may raise, and inputs to begin with.

A target fails when it raises anything else, breaks a property that it asserts, or takes longer than `LIMIT`.
"""

import functools
import json
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from flasher.sim.errors import SimError
from imagekit.application import intel_hex
from imagekit.application import model as application
from imagekit.assessment import assess
from imagekit.bundle import archive, envelope, manifest_json
from imagekit.bundle.envelope import Envelope, Signature, pae
from imagekit.bundle.keys import fingerprint, sign
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.errors import (
    ApplicationError,
    BundleError,
    CatalogueError,
    HostError,
    OptionBytesError,
    ParseError,
    ReleaseNotesError,
    WaiverError,
)
from imagekit.image import container
from imagekit.image.model import Image
from imagekit.option_bytes import decode as option_bytes
from imagekit.option_bytes.verdicts import judge_fields, judge_together
from imagekit.releases import release_notes
from imagekit.report import bundle as bundle_report
from imagekit.report import check as check_report
from imagekit.report import explanation, github, html, inspect, junit, sarif
from imagekit.rules import findings
from imagekit.rules.check import CheckedFile, FileVerdict
from imagekit.rules.registry import Chip, Finding, Severity
from imagekit.targets import TARGETS
from tests.fuzz import containers, pasted
from tests.fuzz.boards import board_seeds, run_board
from tests.fuzz.mutate import CUT, with_checksums
from tests.support.applications import VECTORS, Segment, elf, program
from tests.support.bundles import BUNDLES, private, public, trusted
from tests.support.corpus import CORPUS
from tests.support.images import IMAGES, throw_away_keys

LIMIT = 2.0
"""Seconds of processor time for one input."""
_SMALL = 16 * 1024
"""Bytes of an input to begin with: larger ones cost executions and show nothing more."""


@dataclass(frozen=True)
class Target:
    """One reader."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    allowed: tuple[type[Exception], ...]
    """What it may let out; where `run` catches what its readers may raise, nothing."""
    smoke: int
    """How many inputs tests/test_fuzz.py gives it with -m slow; without, a fifth."""

    def try_one(self, data: bytes) -> None:
        """Run one input. Whatever this raises is a finding."""
        signal.signal(signal.SIGVTALRM, _stop)
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
        try:
            with suppress(*self.allowed):
                self.run(data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


class TooSlowError(Exception):
    """An input takes longer than `LIMIT`."""


def _stop(_number: int, _frame: object) -> None:
    raise TooSlowError(f"more than {LIMIT} seconds")


# --- images


def run_image(data: bytes) -> None:
    image = Image.parse(data)
    assert container.join(container.split(data)) == data
    assessment = assess(image, throw_away_keys())
    found = {target: findings(assessment, Chip(target=target)) for target in (None, *TARGETS)}
    for target, some in found.items():
        json.dumps(inspect.image_entry("a.bin", assessment, some, target))
        inspect.inspection("a.bin", assessment, some, target, width=60)
    checked = [CheckedFile("a.bin", _verdict(some), some, image) for some in found.values()]
    json.dumps(check_report.document(checked))
    listed = check_report.of_check(checked)
    json.dumps(sarif.sarif("imagekit check", listed))
    junit.junit("check", listed), github.annotations("check", listed), html.html("check", listed, "")
    check_report.listing(listed, detail=check_report.Detail.ALL, width=60)


def _verdict(found: Iterable[Finding]) -> FileVerdict:
    return FileVerdict.REFUSED if any(one.severity is Severity.ERROR for one in found) else FileVerdict.ACCEPTED


def image_seeds() -> Iterator[bytes]:
    yield from (one for path in sorted(IMAGES.glob("*.bin")) if len(one := path.read_bytes()) <= _SMALL)


# --- texts: Intel HEX, release notes, option bytes


def run_intel_hex(data: bytes) -> None:
    for one in (data, with_checksums(data)):
        with suppress(ApplicationError):
            application.from_hex("a.hex", one)
        with suppress(ParseError):
            intel_hex.read_hex(one)
        with suppress(ParseError):
            content = intel_hex.read_blocks(one)
            assert intel_hex.read_blocks(intel_hex.write_hex(content.blocks, content.start)) == content


def intel_hex_seeds() -> Iterator[bytes]:
    start = intel_hex.StartRecord(type=5, value=0x08000101)
    yield intel_hex.write_hex([(0x08000000, VECTORS), (0x0800FFF8, bytes(40))], start)
    yield intel_hex.write_hex([(0x080CA000, next(image_seeds()))])
    yield b":020000021000EC\n:10000000000102030405060708090A0B0C0D0E0F78\n:0400000300003800C1\n:00000001FF\n"


def run_release_notes(page: bytes) -> None:
    rows = release_notes.read_rows(page)
    assert {target for row in rows for target in row.addresses} <= {target.name for target in TARGETS}
    assert set(release_notes.current(rows)) == {row.file for row in rows}
    for row in rows:
        for cell in row.addresses.values():
            with suppress(ValueError):
                address = release_notes.published_address(cell)
                assert address is None or address <= 0xFFFF_FFFF
        for one in (row.version, row.fus):
            assert one is None or release_notes.published_version(one) != ""


_PAGE = b"""<html><body><label>V1.23.0 / 01-January-2025</label><table>
<tr><th>Wireless Coprocessor Binary</th><th>STM32WB5xxG(1M)</th><th>STM32WB3xx(512K)</th><th>Version</th>
<th>FUS compatibility</th></tr>
<tr><td>stm32wb5x_FUS_fw.bin</td><td>0x080EC000</td><td>NA</td><td>V2.2.0</td><td>V1.2.0</td></tr></table></body>"""


def release_notes_seeds() -> Iterator[bytes]:
    """A page of our own; parts of ST's, where ST's releases are on this machine: each table with its release."""
    yield _PAGE
    for path in sorted(CORPUS.rglob("Release_Notes.html")):
        page = path.read_bytes()
        parts = page.split(b"<table")[1:]
        yield from (b"<label>V1.1.0 / x</label><table" + part[:_SMALL] for part in parts if b".bin" in part)


def run_option_bytes(data: bytes) -> None:
    for target in (TARGETS[0], TARGETS[-1]):
        with suppress(OptionBytesError):
            option_bytes.decode_pairs(data.decode("latin-1"), target)
        with suppress(OptionBytesError):
            found = option_bytes.decode(data, target)
            verdicts = judge_fields(found), judge_together(found)
            explanation.option_bytes_report(found, *verdicts, (), (), width=60)
            json.dumps(explanation.option_bytes_document(found, *verdicts, ()))


def option_bytes_seeds() -> Iterator[bytes]:
    words = (0x3FFFF1AA, *[0xFFFFFFFF] * 12, 0xFFFFC000, 0x000010F4, 0x8F4F4000)
    yield b"".join(one.to_bytes(4, "little") + (one ^ 0xFFFFFFFF).to_bytes(4, "little") for one in words)
    for base in (0x1FFF8000, 0x1FFF7800):
        lines = (f"0x{base + 8 * at:08X} : {one:08X} {one ^ 0xFFFFFFFF:08X}\n" for at, one in enumerate(words))
        yield "".join(lines).encode()
    yield b"0x58004020 : 3FFFF1AA\n0x58004080 : 000010F4 8F4F4000\n"
    yield b"SFSA : 0xF4\nnBOOT0 : 0x1\nSBRV : 0x3D000\nC2OPT : 1\n"
    yield b"OPTR=0x3FFFF1AA SFSA=0xF4"


# --- bundles


def run_archive(data: bytes) -> None:
    assert archive.write_archive(archive.read_archive(data).items()) == data


def run_envelope(data: bytes) -> None:
    assert envelope.dumps(envelope.loads(data)) == data


def run_manifest(data: bytes) -> None:
    assert manifest_json.dumps(manifest_json.loads(data)) == data


def run_bundle(data: bytes) -> None:
    """A bundle as it is; or a manifest and images between cuts, signed by a stranger and then by a trusted key."""
    if data.startswith(b"PK"):
        opened = open_bundle(data, trusted(), st_keys=throw_away_keys())
        assert manifest_json.dumps(opened.manifest) in _signed_payloads(), "opened, and it is not signed"
        return
    payload, *images = data.split(CUT)
    stated = [payload[found.start() + 7 : found.end()] for found in _NAME.finditer(payload)]
    for old, new in zip(stated, images, strict=False):
        payload = payload.replace(old, sha256(new).hexdigest().encode())
    with suppress(BundleError):
        _open("stranger", payload, images)
        raise AssertionError("opened, and a stranger signed it")
    bundle = _open("ed25519", payload, images)
    json.dumps(bundle_report.document(bundle.manifest, bundle.assessments, bundle.signers))
    bundle_report.text(bundle.manifest, bundle.assessments, [("verified", "")], width=60)


_NAME = re.compile(rb"images/[0-9a-f]{64}")


def _open(signer: str, payload: bytes, images: Iterable[bytes]) -> VerifiedBundle:
    signature = Signature(fingerprint(public(signer)), sign(private(signer), pae(envelope.PAYLOAD_TYPE, payload)))
    content = envelope.dumps(Envelope(payload, (signature,)))
    members = sorted((f"images/{sha256(one).hexdigest()}", one) for one in images)
    whole = archive.write_archive([(archive.MANIFEST_NAME, content), *members])
    return open_bundle(whole, trusted(), st_keys=throw_away_keys())


def bundle_seeds() -> Iterator[bytes]:
    for data in _bundles():
        yield data
        with suppress(BundleError):
            members = archive.read_archive(data)
            payload = envelope.loads(members.pop(archive.MANIFEST_NAME)).payload
            yield CUT.join([payload, *members.values()])


@functools.cache
def _signed_payloads() -> frozenset[bytes]:
    good = (path.read_bytes() for path in BUNDLES.glob("good-*.wbz"))
    return frozenset(envelope.loads(one).payload for one in _envelopes(good))


def _bundles() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted(BUNDLES.glob("*.wbz")))


def _envelopes(bundles: Iterable[bytes]) -> Iterator[bytes]:
    for data in bundles:
        with suppress(BundleError):
            yield archive.read_archive(data)[archive.MANIFEST_NAME]


def _payloads() -> Iterator[bytes]:
    for data in _envelopes(_bundles()):
        with suppress(BundleError):
            yield envelope.loads(data).payload


# --- applications


def run_elf(data: bytes) -> None:
    application.from_elf("a.elf", data)


def elf_seeds() -> Iterator[bytes]:
    whole = Segment(0x08000000, VECTORS), Segment(0x20000000, memory=64)
    yield elf(*whole, sections=[(116, 16)])
    yield elf(*whole, sections=[(116, 16)], unfilled=[(3, 0x08010000, 132, 0x1000)])
    yield elf(Segment(0x08000100, VECTORS), sections=[(84, 16)], mapped_headers=0x080000AC)
    yield program(600)
    yield (pasted.CASES / "keil-like.axf").read_bytes()


# --- all of them


def _targets() -> Iterator[Target]:
    yield Target("image", run_image, image_seeds, (ParseError,), 2000)
    yield Target("intel-hex", run_intel_hex, intel_hex_seeds, (), 7000)
    yield Target("release-notes", run_release_notes, release_notes_seeds, (ReleaseNotesError,), 15000)
    yield Target("archive", run_archive, _bundles, (BundleError,), 50000)
    yield Target("envelope", run_envelope, lambda: _envelopes(_bundles()), (BundleError,), 30000)
    yield Target("manifest", run_manifest, _payloads, (BundleError,), 20000)
    yield Target("bundle", run_bundle, bundle_seeds, (BundleError,), 6000)
    yield Target("board", run_board, board_seeds, (SimError,), 150)
    yield Target("elf", run_elf, elf_seeds, (ApplicationError,), 3500)
    yield Target("option-bytes", run_option_bytes, option_bytes_seeds, (), 7000)
    yield Target("dfuse", containers.run_dfuse, containers.dfuse_seeds, (), 10000)
    yield Target("s-records", containers.run_s_records, containers.s_record_seeds, (), 4000)
    yield Target("uf2", containers.run_uf2, containers.uf2_seeds, (), 8000)
    yield Target("dump", containers.run_dump, containers.dump_seeds, (), 3000)
    yield Target("embedded", containers.run_embedded, containers.embedded_seeds, (), 400)
    yield Target("log", pasted.run_log, pasted.log_seeds, (), 200)
    yield Target("chip-report", pasted.run_chip_report, pasted.chip_report_seeds, (), 300)
    yield Target("waivers", pasted.run_waivers, pasted.waiver_seeds, (WaiverError,), 10000)
    yield Target("baseline", pasted.run_baseline, pasted.baseline_seeds, (WaiverError,), 20000)
    yield Target("hosts", pasted.run_hosts, pasted.host_seeds, (HostError,), 1500)
    yield Target("catalogue", pasted.run_catalogue, pasted.catalogue_seeds, (CatalogueError,), 5000)


TARGETS_BY_NAME = {one.name: one for one in _targets()}
