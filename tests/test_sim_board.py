"""Boards in files: exact, atomic, never overwritten, refused when damaged; and the two commands around them."""

import copy
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flasher.sim import board
from flasher.sim.board import create_board, from_document, load_board, make_board, save_board, to_document
from flasher.sim.chip import SimulatedChip
from flasher.sim.codec import pack
from flasher.sim.errors import ApplicationSizeError, BoardError, ImageError
from flasher.sim.parts import PARTS, find_part
from flasher.sim.show import describe
from tests.support.applications import VECTORS, program
from tests.support.sim_driver import FW_UPGRADE, Driver
from tests.support.sim_images import FUS_1_1_0, FUS_1_2_0, chip, fus, key, new_stack, place, point, small_stack, stack

ROOT = Path(__file__).parents[1]


def changed(document: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A document that was changed, with the right checksum."""
    document = copy.deepcopy(document) | values
    content = {name: value for name, value in document.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return content | {"sha256": digest}


def busy_chip() -> SimulatedChip:
    """A chip in the middle of things: FUS installs a stack, options are damaged, a line is half written."""
    it = chip(fus_flash_work="hidden")
    it.halt()
    it.advance(0.01)
    driver = Driver(it)
    driver.start()
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    it.advance(0.5)
    driver.put(0x58004014, 1)
    it.write(0x08000000, bytes(4), 4)
    it.advance(1)
    return it


def refusal(path: Path) -> str | None:
    """Why a board is refused; None when it is not."""
    try:
        load_board(path)
    except BoardError as error:
        return str(error)
    return None


# --- files


@pytest.mark.parametrize("name", PARTS)
def test_every_part_can_be_kept(name: str, tmp_path: Path) -> None:
    it = chip(name)
    save_board(it, tmp_path / "board.json")
    again = load_board(tmp_path / "board.json")
    assert to_document(again) == to_document(it)
    assert describe(again) == describe(it)


def test_a_board_goes_on_where_it_was(tmp_path: Path) -> None:
    it, path = busy_chip(), tmp_path / "board.json"
    save_board(it, path)
    again = load_board(path)
    assert to_document(again) == to_document(it)
    assert again.flash.state == it.flash.state
    for one in (it, again):
        one.advance(20)
        assert one.cpu2.state.running == ""
        assert Driver(one).start() == "stack"
    assert to_document(again) == to_document(it)


def test_a_board_is_readable(tmp_path: Path) -> None:
    save_board(chip(), tmp_path / "board.json")
    document = json.loads((tmp_path / "board.json").read_text())
    assert document["part"] == "STM32WB55RG"
    assert document["secret"]["fus_version"] == FUS_1_2_0
    assert document["flash"]["pages"] == {}


def test_a_board_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "board.json"
    save_board(chip(), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_board(busy_chip(), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["board.json"]
    with pytest.raises(OSError, match="disk full"):
        create_board(chip(), tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()


def test_a_new_board_has_its_name_only_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is killed while it makes a board leaves no empty one behind."""
    path = tmp_path / "board.json"
    seen: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.exists()))
    create_board(chip(), path)
    assert seen == [False]
    assert to_document(load_board(path)) == to_document(chip())
    assert [entry.name for entry in tmp_path.iterdir()] == ["board.json"]


def test_a_board_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text("precious")
    with pytest.raises(FileExistsError):
        create_board(chip(), tmp_path / "board.json")
    assert (tmp_path / "board.json").read_text() == "precious"


def test_every_byte_counts(tmp_path: Path) -> None:
    """Whatever is cut off or changed is noticed."""
    path = tmp_path / "board.json"
    save_board(chip(), path)
    good = path.read_bytes()
    for at in range(0, len(good), len(good) // 20):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]):
            path.write_bytes(bad)
            if (text := refusal(path)) is None:
                assert to_document(load_board(path)) == to_document(chip()), "only white space may change"
            else:
                assert "\n" not in text


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"schema": 1}', b"[" * 100_000])
def test_a_file_that_is_not_a_board_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "board.json").write_bytes(content)
    with pytest.raises(BoardError, match="not a simulated board"):
        load_board(tmp_path / "board.json")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "_LARGEST", 10)
    (tmp_path / "board.json").write_bytes(bytes(11))
    with pytest.raises(BoardError, match="too large"):
        load_board(tmp_path / "board.json")


WRONG: list[tuple[str, Any]] = [
    ("part", "STM32F4"),
    ("part", 5),
    ("keys", "text"),
    ("behaviour", {}),
    ("boot0_pin", 1),
    ("time", {"now": "late"}),
    ("time", {"now": True}),
    ("time", {"now": 10**400}),
    ("time", {"now": float("nan")}),
    ("time", {"now": 1e300}),
    ("time", {"now": -1.0}),
    ("chip", None),
    ("options", {"stored": [], "loaded": {}, "pending": {}, "damaged": False}),
    ("ram", {"blocks": {"0x20000000": "!"}, "power_ups": 1}),
    ("ram", {"blocks": {"0x20000000": "AAAA"}, "power_ups": 1}),
    ("ram", {"blocks": {"0x20000000": pack(bytes(1 << 18))}, "power_ups": 1}),
    ("ram", {"blocks": {}, "power_ups": 1}),
    ("registers", {"words": {}, "dbgmcu": {}, "csr": 1 << 32}),
    ("flash", {"registers": {}, "pages": {}}),
    ("options", {"stored": {}, "loaded": {}, "pending": {}, "damaged": False}),
    ("flash", {"registers": {}, "pages": {"0x08000000": "eJwDAAAAAAE="}}),
    ("serial", -1),
    ("serial", 1 << 32),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_of_the_wrong_kind_is_damage(name: str, value: Any) -> None:
    document = changed(to_document(chip()), **{name: value})
    with pytest.raises(BoardError, match="damaged"):
        from_document(document)


PAGE = pack(bytes(4096 + 512))
NO_PAGES: list[Any] = [
    [],
    {"0x08000000": 5},
    {"0x08000000": pack(bytes(4096))},
    {"0x08000004": PAGE},
    {"0x07FFF000": PAGE},
    {"0x08100000": PAGE},
]


@pytest.mark.parametrize("pages", NO_PAGES)
def test_flash_that_the_part_does_not_have_is_damage(pages: Any) -> None:
    document = to_document(chip())
    with pytest.raises(BoardError, match="damaged"):
        from_document(changed(document, flash=document["flash"] | {"pages": pages}))


@pytest.mark.parametrize("words", ["stored", "loaded", "pending"])
@pytest.mark.parametrize(("register", "value"), [("OPTR", 1 << 32), ("OPTR", -1), ("UNKNOWN", 0)])
def test_option_bytes_that_no_chip_has_are_damage(words: str, register: str, value: int) -> None:
    document = to_document(chip())
    document["options"][words][register] = value
    with pytest.raises(BoardError, match="damaged"):
        from_document(changed(document))


@pytest.mark.parametrize("name", ["kind", "stage"])
def test_an_operation_that_fus_does_not_have_is_damage(name: str) -> None:
    document = to_document(busy_chip())
    document["secret"]["operation"][name] = "tea"
    with pytest.raises(BoardError, match="'tea' is missing or not known"):
        from_document(changed(document))


def test_a_choice_of_another_type_is_damage() -> None:
    document = to_document(chip())
    document["behaviour"]["num_hci"] = 1.0
    with pytest.raises(BoardError, match="damaged"):
        from_document(changed(document))


def test_values_in_values_are_damage_however_deep(tmp_path: Path) -> None:
    """Just below what `json` reads, what looks at the document again is too deep itself."""
    for depth in range(900, 1100):
        nested = "[" * depth + "]" * depth
        (tmp_path / "board.json").write_text(f'{{"schema": "{board.SCHEMA}", "part": {nested}}}', encoding="ascii")
        assert "damaged" in (refusal(tmp_path / "board.json") or "")


def test_an_operation_on_flash_that_is_not_there_is_damage() -> None:
    document = to_document(busy_chip())
    document["secret"]["operation"] |= {"stage": "finish", "target": 0x080FF000}
    with pytest.raises(BoardError, match="no chip has such operation of FUS"):
        from_document(changed(document))


def test_a_missing_part_and_an_unknown_choice_are_damage() -> None:
    document = to_document(chip())
    del document["secret"]
    with pytest.raises(BoardError, match="damaged"):
        from_document(changed(document))
    behaviour = to_document(chip())["behaviour"] | {"search": "backwards"}
    with pytest.raises(BoardError, match="backwards"):
        from_document(changed(to_document(chip()), behaviour=behaviour))


# --- new boards


def test_a_board_with_a_stack_and_an_application() -> None:
    it = make_board(
        find_part("WB55CE"),
        fus_version=FUS_1_2_0,
        keys=(point(),),
        stack=stack.build(),
        application=b"\0\x10\0\x20\x09\0\0\x08",
    )
    shown = dict(describe(it))
    assert shown["stack"] == "1.15.0.3 at 0x0805A000, 38 sectors"
    assert shown["CPU2 boots"].startswith("the stack (SBRV 0x16800")
    assert shown["CPU1 boots"] == "0x08000000, runs: application"
    assert shown["flash in use"] == "0x08000000-0x08000FFF, 0x0805A000-0x0807FFFF"


@pytest.mark.parametrize(
    ("content", "fus_version", "error"),
    [
        (stack.build()[:-1] + b"\0", FUS_1_2_0, "0x01"),
        (b"\1" + stack.build()[1:], FUS_1_2_0, "0x03"),
        (new_stack.build(), FUS_1_2_0, "0x03"),
        (fus.build(), FUS_1_1_0, "0x0"),
    ],
)
def test_a_stack_that_fus_would_refuse(content: bytes, fus_version: int, error: str) -> None:
    with pytest.raises(ImageError, match=error):
        make_board(find_part("WB55RG"), fus_version=fus_version, keys=(point(),), stack=content)


@pytest.mark.parametrize("size", [0, 7, 1024 * 1024])
def test_an_application_that_does_not_fit(size: int) -> None:
    with pytest.raises(ApplicationSizeError, match=f"^{size} bytes; an application has 8 to 999424 on this board"):
        make_board(find_part("WB55RG"), fus_version=FUS_1_2_0, application=bytes(size))


def test_states_that_are_shown() -> None:
    it = busy_chip()
    shown = dict(describe(it))
    assert shown["operation"] == "stack: write"
    assert shown["CPU2 runs"] == "fus"
    it.power_off()
    shown = dict(describe(it))
    assert shown["state"].startswith("interrupted")
    assert shown["CPU2 boots"].startswith("neither")
    it = chip()
    it.power_off()
    assert dict(describe(it))["state"] == "without power"
    it.fus.secret.anti_rollback, it.fus.secret.reference_version = True, 0xFFFFFFFF
    it.options.state.damaged = True
    shown = dict(describe(it))
    assert (shown["anti-rollback"], shown["option bytes"]) == ("0xFFFFFFFF", "damaged")


# --- the commands


def flasher(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flasher", "sim", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=environment)


def pem(path: Path, public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> Path:
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def test_new_and_show(tmp_path: Path) -> None:
    (tmp_path / "stack.bin").write_bytes(small_stack.build())
    root = pem(tmp_path / "key.pem", key().public_key())
    made = flasher(
        "new",
        "b.json",
        "--part",
        "wb55rg",
        "--fus",
        "2.0.0.3",
        "--stack",
        "stack.bin",
        "--root-key",
        root,
        cwd=tmp_path,
    )
    assert (made.returncode, made.stdout, made.stderr) == (0, "b.json: STM32WB55RG\n", "")
    before = (tmp_path / "b.json").read_bytes()
    shown = flasher("show", "b.json", cwd=tmp_path)
    assert shown.returncode == 0
    assert "FUS:           2.0.0.3\n" in shown.stdout
    assert "stack:         1.13.3.5 at 0x080ED000, 7 sectors\n" in shown.stdout
    assert (tmp_path / "b.json").read_bytes() == before
    again = flasher("new", "b.json", "--part", "wb55rg", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (4, "", "flasher: b.json: file exists\n")


@pytest.mark.parametrize("kept", [0, 1])
def test_sram2rst_as_the_factory_left_it(kept: int, tmp_path: Path) -> None:
    """fus-protocol 2.3: with 0 a system reset erases SRAM2; the one board that was read has 0."""
    assert flasher("new", "b.json", "--part", "WB55RG", "--sram2rst", str(kept), cwd=tmp_path).returncode == 0
    assert f"SRAM2RST:      {kept}\n" in flasher("show", "b.json", cwd=tmp_path).stdout
    it = load_board(tmp_path / "b.json")
    it.advance(1)
    it.write(0x20030000, b"kept", 4)
    it.reset(halt=True)
    it.advance(1)
    assert it.read(0x20030000, 4, 4) == (b"kept" if kept else bytes(4))


def test_new_with_an_application(tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(b"\0\x10\0\x20\x09\0\0\x08")
    assert flasher("new", "b.json", "--part", "WB15CC", "--app", "app.bin", cwd=tmp_path).returncode == 0
    assert "runs: application" in flasher("show", "b.json", cwd=tmp_path).stdout


def test_new_takes_the_application_formats_of_imagekit(tmp_path: Path) -> None:
    (tmp_path / "app.elf").write_bytes(program(0x400))
    assert flasher("new", "elf.json", "--part", "WB55RG", "--app", "app.elf", cwd=tmp_path).returncode == 0
    board = load_board(tmp_path / "elf.json")
    assert board.read(0x08000000, 16, 4) == VECTORS
    (tmp_path / "broken.elf").write_bytes(program(0x400)[:-300])
    refused = flasher("new", "b.json", "--part", "WB55RG", "--app", "broken.elf", cwd=tmp_path)
    assert (refused.returncode, "truncated ELF file" in refused.stderr) == (4, True)


BRAINPOOL_P160R1 = """\
-----BEGIN PUBLIC KEY-----
MEIwFAYHKoZIzj0CAQYJKyQDAwIIAQEBAyoABEPNd/xahnW81ha0GBcUWHbvRYSJ
3fMdRsP5M9zB/t6G7YbBPXeKOO0=
-----END PUBLIC KEY-----
"""  # a curve that the library behind cryptography may know and cryptography does not

REFUSALS: list[tuple[tuple[str, ...], int, str]] = [
    (("new", "b.json", "--part", "STM32L4"), 2, "no STM32WB part 'STM32L4'"),
    (("new", "b.json", "--part", "WB55RG", "--fus", "two"), 2, "no version of FUS: 'two'"),
    (("new", "b.json", "--part", "WB55RG", "--fus", "1.2.300"), 2, "no version of FUS"),
    (("new", "b.json", "--part", "WB55RG", "--fus", "1.2.0.16"), 2, "no version of FUS"),
    (("new", "b.json", "--part", "WB55RG", "--fus", "255.255.255.15"), 2, "no STM32WB55RG has FUS 255.255.255.15"),
    (("new", "b.json", "--part", "WB15CC", "--fus", "0.5.3"), 2, "has FUS 0.5.3; known: 1.2.0, 2.0.0, 2.1.0, 2.2.0\n"),
    (("new", "b.json", "--part", "WB55RG", "--app", "large.bin"), 4, "large.bin: larger than any flash"),
    (("new", "b.json", "--part", "WB15CC", "--app", "full.bin"), 3, "full.bin: 1048576 bytes; an application has 8 to"),
    (
        ("new", "b.json", "--part", "WB55RG", "--root-key", "key.pem", "--stack", "good.bin", "--app", "full.bin"),
        3,
        "flasher: full.bin: 1048576 bytes; an application has 8 to 970752 on this board\n",
    ),
    (("new", "b.json", "--part", "WB55RG", "--stack", "none.bin"), 4, "none.bin: no such file"),
    (("new", "b.json", "--part", "WB55RG", "--stack", "large.bin"), 4, "large.bin: larger than any flash"),
    (
        ("new", "b.json", "--part", "WB55RG", "--stack", "text.txt"),
        3,
        "text.txt: FUS 1.2.0 would refuse it as a stack: error 0x01, no image of ST",
    ),
    (("new", "b.json", "--part", "WB55RG", "--root-key", "text.txt"), 4, "text.txt: no public key in PEM"),
    (("new", "b.json", "--part", "WB55RG", "--root-key", "other.pem"), 4, "other.pem: no public key of the curve"),
    (("new", "b.json", "--part", "WB55RG", "--root-key", "rare.pem"), 4, "rare.pem: no public key of the curve"),
    (("new", "no/b.json", "--part", "WB55RG"), 4, "no/b.json: no such file"),
    (("show", "text.txt"), 4, "text.txt: not a simulated board"),
    (("show", "none.json"), 4, "none.json: no such file"),
    (("show", "."), 4, ".: not a simulated board: not a regular file"),
    (("show", "pipe"), 4, "pipe: not a simulated board: not a regular file"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSALS)
def test_one_line_and_no_traceback(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some text")
    (tmp_path / "large.bin").write_bytes(bytes(1024 * 1024 + 1))
    (tmp_path / "full.bin").write_bytes(bytes(1024 * 1024))
    (tmp_path / "good.bin").write_bytes(small_stack.build())
    pem(tmp_path / "key.pem", key().public_key())
    pem(tmp_path / "other.pem", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
    (tmp_path / "rare.pem").write_text(BRAINPOOL_P160R1)
    os.mkfifo(tmp_path / "pipe")
    result = flasher(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("flasher: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "b.json").exists()
