"""Chips as the planner sees them: option bytes of a simulated chip, and whatever a test says otherwise."""

from typing import Any

from flasher.acceptance import Acceptance
from flasher.device import Identity, Options
from flasher.facts import Facts
from flasher.journal import History
from flasher.mailbox import DeviceInfo
from flasher.plan import InstallPlan, make_plan
from flasher.registers import FLASH_BASE, OPTION_REGISTERS
from imagekit.bundle.verified import VerifiedBundle
from imagekit.image.model import Version
from imagekit.targets import select_target
from tests.support.flashing import simulated
from tests.support.images import assessed


def version_word(text: str) -> int:
    """A version as FUS has it in its table, 1.24.0.1 included."""
    parts = [int(part) for part in text.split(".")]
    major, minor, sub, build = (*parts, 0)[:4]
    return major << 24 | minor << 16 | sub << 8 | build


def facts(
    part: str = "STM32WB55RG",
    fus: str = "1.2.0",
    stack: str | None = None,
    *,
    flash: dict[int, bytes] | None = None,
    is_fus: bool | None = None,
    words: dict[str, int] | None = None,
    **info: Any,
) -> Facts:
    """A chip with this FUS, a stack of fixtures/images installed and running, and things in its flash by address.

    `words` replaces option registers; `info` replaces what CPU2 tells of itself.
    """
    chip, target = simulated(part, version_word(fus), stack), select_target(part)
    registers = {name: chip.read(at, 4, 4) for name, at in OPTION_REGISTERS.items()}
    options = Options(
        {name: int.from_bytes(word, "little") for name, word in registers.items()} | (words or {}), target
    )
    end = min(target.sector_address(options.sfsa), target.limit)
    content = bytearray(b"\xff" * max(end - FLASH_BASE, 0))
    for at, data in (flash or {}).items():
        content[at - FLASH_BASE : at - FLASH_BASE + len(data)] = data
    image = assessed(stack).image if stack else None
    told = {
        "is_fus": stack is None if is_fus is None else is_fus,
        "fus": Version.from_text(fus),
        "stack": image.version if image else None,
        "stack_sectors": image.footer.flash_sectors if image else 0,
        "safeboot": Version(1, 1, 0),
    }
    return Facts(
        identity=Identity(target=target, dev_id=0x495, flash_kib=target.flash_kib, uid="00" * 12),
        options=options,
        info=DeviceInfo(**{**told, **info}),
        flash=bytes(content),
    )


def planned(bundle: VerifiedBundle, chip: Facts, history: History | None = None, **accepted: Any) -> InstallPlan:
    return make_plan(bundle, chip, history or History(), Acceptance(**accepted))


def accepting(*names: str) -> dict[str, Any]:
    return {"accept": frozenset(names)}
