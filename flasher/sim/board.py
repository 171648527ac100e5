"""Boards: a simulated chip kept in a file between programs, exactly as it was left, power and time included.

A board is JSON: readable where it is short, compressed base64 where it is long (flash by page). A checksum over it
all tells a damaged file; a file is written beside its place and then given its name, so it is never half there.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flasher.sim import verdict
from flasher.sim.behaviour import Behaviour
from flasher.sim.board_upgrade import OLD_SCHEMA, upgraded
from flasher.sim.chip import ChipState, SimulatedChip
from flasher.sim.codec import decode, encode, pack, unpack
from flasher.sim.cpu1 import Cpu1State
from flasher.sim.cpu2 import Cpu2State
from flasher.sim.errors import ApplicationSizeError, BoardError, ImageError, PartError, SimError
from flasher.sim.faults import parse_fault
from flasher.sim.flash_registers import FlashState
from flasher.sim.fus import FusState
from flasher.sim.ipcc import IpccState
from flasher.sim.memory import ChipClock, RamState
from flasher.sim.option_bytes import OptionState
from flasher.sim.parts import FLASH_BASE, Part, find_part
from flasher.sim.possible import refuse_impossible
from flasher.sim.registers import RegisterState
from flasher.sim.secret import Secret
from flasher.sim.show import version_text

SCHEMA = "flasher.sim.board/2"
_LARGEST = 64 * 1024 * 1024

_WHY = {
    verdict.IMG_NOT_FOUND: "no image of ST's in it",
    verdict.IMG_CORRUPT: "its end is missing",
    verdict.IMG_NOT_AUTHENTIC: "altered, signed by a key that it does not know, or for another generation of FUS",
    verdict.IMG_NOT_ENOUGH_SPACE: "too large for the part",
    verdict.ROLLBACK_ERROR: "not newer than what is there",
}
"""What the errors of FUS mean for a stack that comes with the board."""


def make_board(
    part: Part,
    *,
    fus_version: int,
    keys: tuple[str, ...] | None = None,
    stack: bytes | None = None,
    application: bytes | None = None,
    sram2rst: int = 1,
    accepted: tuple[str, ...] = (),
    serial: int = 0x0065_8473,
    behaviour: Behaviour | None = None,
    has_bonding_data: bool = False,
) -> SimulatedChip:
    """A new chip, with a stack installed and running or with an application if asked for.

    `sram2rst` is the option of that name as the factory left it: 0 erases SRAM2 at every system reset. `accepted`:
    SHA-256 of images that FUS 0.5.3 and 1.0.x believe. `serial` makes the UID.
    `has_bonding_data`: the stack is paired with something.
    Raises PartError, ImageError and ApplicationError.
    """
    if fus_version & ~0xFF not in part.fus_versions:
        known = ", ".join(map(version_text, part.fus_versions))
        raise PartError(f"no {part.name} has FUS {version_text(fus_version)}; known: {known}")
    chip = SimulatedChip(
        part, fus_version=fus_version, keys=keys, accepted=accepted, serial=serial, behaviour=behaviour
    )
    chip.options.set_by_cpu2(SRAM2RST=sram2rst)
    if stack is not None and (error := chip.fus.install_at_factory(stack)):
        why = _WHY.get(error, "not a stack for it")
        raise ImageError(f"FUS {version_text(fus_version)} would refuse it as a stack: error 0x{error:02X}, {why}")
    if application is not None:
        room = min(chip.options.secure_start or part.nominal_end, part.nominal_end) - FLASH_BASE
        if not 8 <= len(application) <= room:  # at least a stack pointer and a reset vector
            raise ApplicationSizeError(f"{len(application)} bytes; an application has 8 to {room} on this board")
        chip.flash.put_cells(FLASH_BASE, application)
    if has_bonding_data and stack is None:
        raise ImageError("bonding data needs a stack")
    if has_bonding_data:
        chip.fus.secret.bonding = "present"
    chip.power_cycle()
    return chip


# --- to and from JSON


def to_document(chip: SimulatedChip) -> dict[str, Any]:
    """Everything about a chip as one JSON document."""
    document = {
        "schema": SCHEMA,
        "part": chip.part.name,
        "serial": chip.identity.serial,
        "keys": list(chip.fus.root_keys),
        "accepted": list(chip.fus.accepted),
        "behaviour": encode(chip.behaviour),
        "faults": list(chip.faults),
        "boot0_pin": chip.cpu1.boot0_pin,
        **{name: encode(value) for name, value in _states(chip).items()},
        "flash": _encode_flash(chip),
    }
    return document | {"sha256": _checksum(document)}


def _states(chip: SimulatedChip) -> dict[str, Any]:
    return {
        "chip": chip.state,
        "time": chip.time,
        "options": chip.options.state,
        "ipcc": chip.ipcc.state,
        "cpu1": chip.cpu1.state,
        "cpu2": chip.cpu2.state,
        "fus": chip.fus.state,
        "secret": chip.fus.secret,
        "registers": chip.registers.state,
        "ram": chip.ram.state,
    }


def _encode_flash(chip: SimulatedChip) -> dict[str, Any]:
    state, page = chip.flash.state, chip.part.page
    registers = encode(dataclasses.replace(state, cells=bytearray(), programmed=bytearray()))
    pages = {}
    for at in range(0, len(state.cells), page):
        content = state.cells[at : at + page] + state.programmed[at // 8 : (at + page) // 8]
        if content != b"\xff" * page + bytes(page // 8):
            pages[f"0x{FLASH_BASE + at:08X}"] = pack(content)
    return {"registers": registers, "pages": pages}


def _checksum(document: dict[str, Any]) -> str:
    content = {name: value for name, value in document.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def from_document(document: Any) -> SimulatedChip:
    """The chip that a document holds. Raises BoardError."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in (SCHEMA, OLD_SCHEMA):
        raise BoardError("not a simulated board; make one with 'flasher sim new'")
    try:
        return _restore(document)
    except KeyError as error:
        raise BoardError(f"the board is damaged: {error} is missing or not known") from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, SimError) as error:
        raise BoardError(f"the board is damaged: {error}") from error


def _restore(document: dict[str, Any]) -> SimulatedChip:
    if document.get("sha256") != _checksum(document):
        raise ValueError("its checksum does not fit its content")
    if document["schema"] == OLD_SCHEMA:
        document = upgraded(document)
    chip = SimulatedChip(
        find_part(decode(str, document["part"])),
        behaviour=decode(Behaviour, document["behaviour"]),
        keys=decode(tuple[str, ...], document["keys"]),
        accepted=decode(tuple[str, ...], document["accepted"]),
        serial=decode(int, document["serial"]),
    )
    chip.faults = decode(tuple[str, ...], document["faults"])
    for fault in chip.faults:
        parse_fault(fault)
    chip.cpu1.boot0_pin = decode(bool, document["boot0_pin"])
    chip.state = decode(ChipState, document["chip"])
    chip.time.now = decode(ChipClock, document["time"]).now
    chip.options.restore(decode(OptionState, document["options"]))
    chip.ipcc.state = decode(IpccState, document["ipcc"])
    chip.cpu1.state = decode(Cpu1State, document["cpu1"])
    chip.cpu2.state = decode(Cpu2State, document["cpu2"])
    chip.fus.state = decode(FusState, document["fus"])
    secret = decode(Secret, document["secret"])
    if secret.operation is not None:
        _ = secret.operation.state  # KeyError when FUS has no such operation or stage
    for field in dataclasses.fields(Secret):  # several units share the one object
        setattr(chip.fus.secret, field.name, getattr(secret, field.name))
    chip.registers.state = decode(RegisterState, document["registers"])
    chip.ram.state = decode(RamState, document["ram"])
    _restore_flash(chip, document["flash"])
    refuse_impossible(chip)
    return chip


def _restore_flash(chip: SimulatedChip, document: dict[str, Any]) -> None:
    empty, page = chip.flash.state, chip.part.page
    cells, programmed = bytearray(b"\xff" * len(empty.cells)), bytearray(len(empty.programmed))
    for address, text in decode(dict[int, str], document["pages"]).items():
        at, content = address - FLASH_BASE, unpack(text)
        if at not in range(0, len(cells), page) or len(content) != page + page // 8:
            raise ValueError(f"no page of its flash: 0x{address:08X}, {len(content)} bytes")
        cells[at : at + page] = content[:page]
        programmed[at // 8 : (at + page) // 8] = content[page:]
    state = decode(FlashState, document["registers"])
    chip.flash.state = dataclasses.replace(state, cells=cells, programmed=programmed)


def with_behaviour(chip: SimulatedChip, behaviour: Behaviour) -> SimulatedChip:
    """The same chip with another behaviour."""
    document = to_document(chip) | {"behaviour": encode(behaviour)}
    return from_document(document | {"sha256": _checksum(document)})


# --- to and from files


def save_board(chip: SimulatedChip, path: Path) -> None:
    """Write a board, whole or not at all; its mode, and a link to it, stay as they are. Raises OSError."""
    real = path.resolve()
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
    with _written_beside(chip, real, mode) as whole:
        whole.replace(real)


def create_board(chip: SimulatedChip, path: Path) -> None:
    """Write a new board, whole or not at all. Raises FileExistsError, and leaves what is there as it is."""
    with _written_beside(chip, path) as whole:
        os.link(whole, path)  # unlike a rename it never overwrites


@contextlib.contextmanager
def _written_beside(chip: SimulatedChip, path: Path, mode: int | None = None) -> Iterator[Path]:
    """The board in a file beside its place, on the disk; gone afterwards. `mode`: permissions, as new when None."""
    text = json.dumps(to_document(chip), indent=1) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        if mode is None:
            umask = os.umask(0)
            os.umask(umask)
            mode = 0o666 & ~umask
        Path(name).chmod(mode)  # mkstemp made it private
        yield Path(name)
    finally:
        with contextlib.suppress(OSError):  # a rename has moved it
            Path(name).unlink()


def load_board(path: Path) -> SimulatedChip:
    """Read a board. Raises OSError and BoardError."""
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
        raise BoardError("not a simulated board: not a regular file")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise BoardError("not a simulated board: too large")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BoardError(f"not a simulated board, or a damaged one: {error}") from error
    return from_document(document)
