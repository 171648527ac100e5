"""ST's real images: what imagekit says of each file agrees with an independent decoding of its bytes."""

import hashlib
import json
import struct
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from imagekit.image import container
from tests.support.corpus import CORPUS, FILES, NOT_IMAGES, counts_hold, each_file, each_image, name, needs_corpus

pytestmark = needs_corpus

KINDS = {0x23372991: "stack", 0xB10C8B99: "stack", 0x32279221: "fus", 0x927A6741: "safeboot"}
GAPS = {0x040104CD: 4, 0x080208CD: 8}


def is_verifiable(file: str) -> bool:
    """Whether docs/image-format.md says that one of the three keys verifies the file."""
    return not (
        file.endswith(("_FUS_fw_1_0_2.bin", "_FUS_fw_for_fus_0_5_3.bin"))
        or file in ("v1.1.0/stm32wb5x_FUS_fw.bin", "v1.17.3/STM32WB3x/stm32wb3x_BLE_HCI_AdvScan_fw.bin")
    )


def expected_key(file: str) -> str:
    if file.startswith(("v1.5.0/STM32WB3x", "v1.6.0/STM32WB3x", "v1.7.0/STM32WB3x")):
        return "st-wb3x-early"
    if file == "v1.11.0/STM32WB1x/stm32wb1x_BLE_LLD_fw.bin":
        return "st-wb3x-early"  # a WB3x file that ST put into the WB1x folder
    return "st-wb1x" if "/STM32WB1x/" in file else "st-wb5x-wb3x"


@pytest.fixture(scope="module")
def entries() -> dict[str, dict[str, object]]:
    """What one run of `inspect --json` over the whole corpus says, by file."""
    result = CliRunner().invoke(app, ["inspect", "--json", *map(str, FILES)])
    assert result.exit_code == (4 if any(name(path) in NOT_IMAGES for path in FILES) else 0)
    images = json.loads(result.stdout)["images"]
    assert [entry["path"] for entry in images] == [str(path) for path in FILES]
    return {name(Path(entry["path"])): entry for entry in images}


@each_file
def test_inspect_agrees_with_an_independent_decoding(path: Path, entries: dict[str, dict[str, object]]) -> None:
    entry, data, file = entries[name(path)], path.read_bytes(), name(path)
    assert entry["size"] == len(data)
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    if file in NOT_IMAGES:
        assert (entry["kind"], entry["error"]["reason"]) == (None, NOT_IMAGES[file])  # type: ignore[index]
        return
    info1, _, sectors, _, sram2a, sram2b, branch_build, sub, minor, major, magic = struct.unpack(
        "<IIBBBBBBBBI", data[-104:-84]
    )
    sizes = [size for size in (2048, 4096) if -(-len(data) // size) == sectors]
    # The one file whose footer is wrong is a WB5x/WB3x one: its signing key says so.
    sector_size = sizes[0] if sizes else 4096
    assert entry["kind"] == ("safeboot" if info1 == 0x5AFEB007 else KINDS[magic])
    assert entry["magic"] == f"0x{magic:08X}"
    assert entry["series"] == {(2048,): ["WB1x"], (4096,): ["WB3x", "WB5x"], (): []}[tuple(sizes)]
    hidden = (major, minor, sub, branch_build) == (255, 255, 255, 255)
    assert entry["version"] == (
        None
        if hidden
        else {
            "text": f"{major}.{minor}.{sub}",
            "major": major,
            "minor": minor,
            "sub": sub,
            "branch": branch_build >> 4,
            "build": branch_build & 15,
        }
    )
    assert entry["flash"] == {
        "sector_size": sector_size,
        "sectors": max(sectors, -(-len(data) // sector_size)),
        "sectors_footer": sectors,
        "gap_sectors": GAPS[info1] if magic == 0xB10C8B99 else 0,
    }
    # SRAM2a has 32 KiB on every die, SRAM2b 4 KiB on WB1x and 32 KiB on the others (RM0473; RM0434, 2.3).
    sram2b_kib = {(2048,): 4, (4096,): 32, (): 0}[tuple(sizes)]  # 0: the series is not known
    for memory, left, size in (("sram2a", sram2a, 32), ("sram2b", sram2b, sram2b_kib)):
        used = size - left if left <= size else None
        expected = {f"{memory}_kib": left, f"app_{memory}_kib": left, f"stack_{memory}_kib": used}
        assert expected.items() <= entry["sram"].items()  # type: ignore[attr-defined]


@each_image
def test_signature_verdict(path: Path, entries: dict[str, dict[str, object]]) -> None:
    file = name(path)
    expected = {"status": "valid", "key": expected_key(file)} if is_verifiable(file) else {"status": "unverified"}
    assert entries[file]["signature"] == expected


@each_image
def test_parse_and_join_give_the_same_bytes(path: Path) -> None:
    data = path.read_bytes()
    assert container.join(container.split(data)) == data


def test_exactly_the_known_findings_are_reported(entries: dict[str, dict[str, object]]) -> None:
    """Every finding on ST's files, without notes and known defects, has its cause in docs/image-format.md."""
    found = {
        file: {finding["rule"] for finding in entry["findings"]} - {"WB108", "WB203", "WB302", "WB405"}  # type: ignore[attr-defined]
        for file, entry in entries.items()
        if file not in NOT_IMAGES
    }
    for file, rules in found.items():
        is_thread_ftd = file.endswith("_Thread_FTD_fw.bin") and file.startswith(("v1.6.0", "v1.7.0"))
        assert rules == ({"WB105"} if is_thread_ftd else set()) | (set() if is_verifiable(file) else {"WB201"}), file


@counts_hold
def test_the_counts_of_the_corpus_are_known(entries: dict[str, dict[str, object]]) -> None:
    assert len(entries) == 355
    assert len({entry["sha256"] for entry in entries.values()}) == 204
    verdicts = Counter(
        entry["signature"].get("key", "unverified") if entry["kind"] else "not an image"  # type: ignore[attr-defined]
        for entry in entries.values()
    )
    assert verdicts == {
        "st-wb5x-wb3x": 272,
        "st-wb1x": 44,
        "st-wb3x-early": 19,
        "unverified": 17,
        "not an image": 3,
    }


def test_an_unencrypted_file_of_st_contains_its_public_key() -> None:
    file = CORPUS / "v1.5.0" / "STM32WB5x" / "stm32wb5x_FUS_fw.bin"
    if not file.exists():
        pytest.skip("this corpus lacks v1.5.0")
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from imagekit.image.signing_keys import st_keys

    point = st_keys()[0].public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert file.read_bytes()[21184 : 21184 + 64] == point[1:]
