"""What is on a board, in words: for people who look at one."""

from flasher.sim import nvm
from flasher.sim.chip import SimulatedChip
from flasher.sim.parts import FLASH_BASE
from flasher.sim.secret import Secret


def describe(chip: SimulatedChip) -> list[tuple[str, str]]:
    """Labels and values, in the order in which they are shown."""
    get, secret = chip.options.get, chip.fus.secret
    vector = FLASH_BASE + get("SBRV") * 4
    open_sram2 = "{} KiB of SRAM2A, {} KiB of SRAM2B".format(*chip.options.open_sram2_kib())
    return [
        ("part", f"{chip.part.name}, {chip.part.flash_kib} KiB, pages of {chip.part.page // 1024} KiB"),
        ("state", secret.dead or ("powered" if chip.state.powered else "without power")),
        ("FUS", version_text(secret.fus_version)),
        ("stack", _stack_text(secret)),
        ("CPU2 boots", f"{_boots(chip, vector)} (SBRV 0x{get('SBRV'):05X} = 0x{vector:08X})"),
        ("CPU2 runs", chip.cpu2.state.running or "nothing: C2BOOT is 0"),
        ("secure from", f"SFSA 0x{get('SFSA'):02X} = 0x{FLASH_BASE + get('SFSA') * chip.part.page:08X}"),
        ("open to CPU1", open_sram2),
        ("CPU1 boots", f"0x{chip.cpu1.boot_source():08X}, runs: {chip.cpu1.state.runs}"),
        ("RDP", f"0x{get('RDP'):02X}"),
        ("ESE", str(get("ESE"))),
        ("SRAM2RST", str(get("SRAM2RST"))),
        ("option bytes", "damaged" if chip.options.state.damaged else "good"),
        ("anti-rollback", f"0x{secret.reference_version:08X}" if secret.anti_rollback else "no"),
        ("bonding data", secret.bonding),
        ("NVM section", _nvm_text(chip)),
        ("NVM job", secret.nvm_job.kind if secret.nvm_job else "none"),
        ("operation", f"{secret.operation.kind}: {secret.operation.stage}" if secret.operation else "none"),
        ("flash in use", _used(chip)),
        ("resets", str(chip.epoch)),
        ("clock", f"{chip.clock:.3f} s"),
    ]


def version_text(version: int) -> str:
    """A version word as people write it; the build only where there is one."""
    build = version & 0xFF
    text = f"{version >> 24}.{version >> 16 & 0xFF}.{version >> 8 & 0xFF}"
    if build:
        return f"{text}.{build}"
    return text


def _stack_text(secret: Secret) -> str:
    stack = secret.stack
    if stack is None:
        return "none"
    return f"{version_text(stack.version)} at 0x{stack.address:08X}, {stack.sectors} sectors"


def _nvm_text(chip: SimulatedChip) -> str:
    secret = chip.fus.secret
    if not secret.nvm_sectors:
        return "none"
    return f"{secret.nvm_sectors} sectors from 0x{nvm.section_start(chip.part, secret):08X}"


def _boots(chip: SimulatedChip, vector: int) -> str:
    stack = chip.fus.secret.stack
    if vector == chip.part.fus_base(chip.fus.secret.fus_version):
        return "FUS"
    if stack is not None and vector == stack.address:
        return "the stack"
    return "neither FUS nor a stack"


def _used(chip: SimulatedChip) -> str:
    """Runs of pages that are not erased."""
    page, cells = chip.part.page, chip.flash.state.cells
    runs: list[list[int]] = []
    for at in range(0, len(cells), page):
        if cells[at : at + page] == b"\xff" * page:
            continue
        if runs and runs[-1][1] == at:
            runs[-1][1] = at + page
        else:
            runs.append([at, at + page])
    return ", ".join(f"0x{FLASH_BASE + a:08X}-0x{FLASH_BASE + b - 1:08X}" for a, b in runs) or "none"
