"""Fuzz targets for what people paste or write by hand: logs, chip reports, waiver files, baselines, host names."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from imagekit.catalogue import dumps, loads, shipped
from imagekit.doctor.answer import answer
from imagekit.doctor.chip_report import fields_in, memory_words, report_of_fields, report_of_json, report_of_words
from imagekit.doctor.messages import messages
from imagekit.hosts import releases_of
from imagekit.report import hosts as hosts_report
from imagekit.report import pasted
from imagekit.rules.waivers import Place, load_baseline, load_waivers

CASES = Path(__file__).parents[1] / "cases"
_TODAY = date(2026, 1, 1)
_PLACE = Place(rule="WB201", path="images/stack.bin", sha256="0" * 64, target="STM32WB5xxG", message="not signed by ST")


def run_log(data: bytes) -> None:
    """Explain a text in every way in which `imagekit explain` prints it."""
    known = answer(data.decode("utf-8", "replace"))
    stacks = known.stacks(shipped())
    json.dumps(pasted.answers_document([known], shipped()))
    if known.reading is not None:
        pasted.log_page(known.reading, known.story, stacks, width=60)
    for symptom in known.symptoms:
        pasted.symptom_page(symptom, width=60)
    for message in known.messages:
        pasted.message_page(message, width=60)
    pasted.chip_page(known.report, stacks, known.story, width=60)


def log_seeds() -> Iterator[bytes]:
    """Pasted sessions, and known messages in groups of twelve lines."""
    for path in sorted(CASES.glob("*.txt")):
        yield path.read_bytes()
    lines = [message.text.replace("{hex}", "0x1F").replace("{num}", "7") for message in messages()]
    for start in range(0, len(lines), 12):
        yield "\n".join(f"12:30:01:123 : {line}" for line in lines[start : start + 12]).encode()
    yield b"the radio does not advertise after the update"


def run_chip_report(data: bytes) -> None:
    """Read each line as memory words and as fields, and the whole text as `flasher info --json`."""
    text = data.decode("utf-8", "replace")
    report_of_json(text)
    lines = text.splitlines()
    words = [found for line in lines if (found := memory_words(line)) is not None]
    report_of_words(words)
    for line in lines:
        report_of_fields(fields_in(line))
    run_log(data)


def chip_report_seeds() -> Iterator[bytes]:
    """Return what the flasher, memory dumps, SHCI_GetWirelessFwInfo and MicroPython print."""
    info = {"schema": "flasher.info/1", "fus": {"version": "1.2.0"}, "stack": {"version": "1.24.0"}, "running": "fus"}
    yield json.dumps(info).encode()
    yield b"0x20030000 : 1170FD0F 00000000 01020000 0000FFFF 2003001C 20030034\n0x20030010 : 00000000 01110400\n"
    yield b"VersionMajor = 1, VersionMinor = 17, VersionSub = 3, VersionBranch = 0, VersionReleaseType = 2\n"
    yield b"FusVersionMajor: 1\nFusVersionMinor: 2\nFusVersionSub: 0\nMemorySizeSram2A: 10\nStackType: 0x01\n"
    yield b"FUS Version: v1.2.0\nStack version v1.13.0.5\n"
    yield b">>> stm.rfcore_fw_version(1)\n(1, 13, 3, 0, 2)\n"


def run_waivers(data: bytes) -> None:
    """Read a waiver file and use it."""
    file = load_waivers("imagekit.toml", data, today=_TODAY, rules=("WB201", "WB307"))
    file.accept(_PLACE)


def waiver_seeds() -> Iterator[bytes]:
    """Return a waiver of each kind."""
    yield b'[[waiver]]\nrule = "WB201"\nreason = "a test image"\nfiles = "images/*.bin"\nexpires = 2027-01-31\n'
    yield b'[[waiver]]\nrule = "WB307"\nreason = "renamed"\nsha256 = "' + b"0" * 64 + b'"\n'
    yield b"waiver = [[[]], 1, 2.5, 07:32:00, 1979-05-27T07:32:00Z, {a = 1}]\n"


def run_baseline(data: bytes) -> None:
    """Read an earlier result and use it."""
    load_baseline("baseline.json", data).accept(_PLACE)


def baseline_seeds() -> Iterator[bytes]:
    """Return a result of `check` and one of `audit`."""
    finding = {"rule": "WB201", "message": "not signed by ST", "target": None, "published": "0x080D0000", "file": "a"}
    check = {"schema": "imagekit.check/1", "files": [{"path": "images/stack.bin", "findings": [finding]}]}
    audit = {"schema": "imagekit.audit/1", "releases": [{"path": "v1.23.0", "findings": [finding]}]}
    yield json.dumps(check).encode()
    yield json.dumps(audit).encode()


def run_hosts(data: bytes) -> None:
    """Look up a host software and print its rows."""
    found = releases_of(data.decode("utf-8", "replace"))
    json.dumps(hosts_report.document(found, shipped()))
    hosts_report.text(found, shipped(), width=60)


def host_seeds() -> Iterator[bytes]:
    """Return names with and without a release."""
    yield from (b"zephyr", b"zephyr:4.0", b"Zephyr:v4.0", b"micropython:", b"flipper:1.0")


def run_catalogue(data: bytes) -> None:
    """Read a catalogue, and write it again as it was read."""
    catalogue = loads(data)
    text = dumps(catalogue)
    assert dumps(loads(text.encode())) == text


def catalogue_seeds() -> Iterator[bytes]:
    """Return the first contents of the built-in catalogue."""
    path = Path(__file__).parents[2] / "imagekit" / "data" / "catalogue.json"
    document = json.loads(path.read_bytes())
    contents = dict(list(document["contents"].items())[:3])
    yield json.dumps(document | {"contents": contents}).encode()
